"""The patterns that a policy has for a domain's MX hosts, where nobody names others."""

import re
from collections.abc import Iterable

from policy_store.names import host_name

_EXCHANGE_ONLINE = re.compile(
    r"[^.]+(\.mail\.protection\.(outlook\.com|office365\.us|partner\.outlook\.cn|outlook\.de)|\.[a-z]-v1\.mx\.microsoft)"
)


def propose_patterns(mx_hosts: Iterable[str]) -> tuple[str, ...]:
    """The patterns for the MX hosts of a domain, each once: Exchange Online's `*.mail.protection.outlook.com` and those
    of its other clouds, `*.<letter>-v1.mx.microsoft` for its names with DNSSEC, and host names for the rest.

    Raises InvalidName.
    """
    return tuple(dict.fromkeys(map(_propose, mx_hosts)))


def _propose(mx_host: str) -> str:
    host = host_name(mx_host.removesuffix("."))
    exchange_online = _EXCHANGE_ONLINE.fullmatch(host)
    return f"*{exchange_online[1]}" if exchange_online else host
