"""TLS reports (RFC 8460): reading them, what they say of a domain, and evidence for enforce."""
