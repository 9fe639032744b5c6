"""How long, how often and how many: what a check may ask of hosts that it knows nothing of."""

import errno
from dataclasses import dataclass

DNS_SECONDS = 5.0  # for an answer
HTTPS_SECONDS = 60.0  # for the whole of a fetch: RFC 8461 section 3.3
SMTP_SECONDS = 30.0  # for a step: RFC 5321 section 4.5.3.2 allows 5 minutes, mail servers that delay spam take 6 to 20
CONNECT_SECONDS = 10.0
MOST_ADDRESSES = 8  # of one host: a domain's records must not keep the checker busy

HTTPS_AT_ONCE = 16  # connections that begin at a time at one address: one app, or one proxy, serves many domains
SMTP_AT_ONCE = 4  # mail servers count what one client opens

# What the kernel says where this machine has no way to an address: nothing about the host.
NO_WAY = frozenset(
    {
        errno.ENETUNREACH,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.EADDRNOTAVAIL,
        errno.EAFNOSUPPORT,
        errno.EACCES,
        errno.EPERM,
    }
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How many seconds an answer of DNS, the fetch of a policy and a step with a mail host may take."""

    dns: float = DNS_SECONDS
    https: float = HTTPS_SECONDS
    smtp: float = SMTP_SECONDS
