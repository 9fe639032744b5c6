"""MTA-STS policies (RFC 8461) of many domains: the rules, the store, serving, and the operator's tools."""

__version__ = "0.2.0"
