"""Domain names as MTA-STS writes them, and the way from a Host header to a policy domain.

Inside the app a name is always lower-case ASCII: LDH labels with internationalised labels as A-labels (RFC 5890),
no trailing dot. Everything that becomes a storage key or a line of a policy passes through here first.
"""

import re
from functools import lru_cache

_POLICY_HOST_PREFIX = "mta-sts."  # RFC 8461 section 3.3
_LONGEST_NAME = 253  # octets without the trailing dot: RFC 1035 section 2.3.4
_LONGEST_LABEL = 63
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_HOST_HEADER = re.compile(r"(?P<name>[^:]+)(?::[0-9]{0,5})?")  # host [":" port]: RFC 9110 section 7.2


class InvalidName(ValueError):
    """A text is not a domain name; the message says what is wrong with it and what is allowed."""


def host_name(text: str) -> str:
    """The host name `text` in lower case.

    Strict, as a line of a policy must be (RFC 8461 section 3.2, `Domain` of RFC 5321 section 4.1.2): LDH labels of at
    most 63 octets, 253 in all, no trailing dot, no U-label, no address. Raises InvalidName.
    """
    if not text:
        raise InvalidName("a host name is missing")
    if not text.isascii():  # asked before lower(), which turns the Kelvin sign into a k
        raise InvalidName(f"{quoted(text)} is not ASCII: write internationalised names as A-labels (xn--…)")
    name = text.lower()
    if name.endswith("."):
        raise InvalidName(f"{quoted(text)} ends with a dot: leave the dot out")
    if len(name) > _LONGEST_NAME:
        raise InvalidName(f"{quoted(text)} has {len(name)} octets: a name has at most {_LONGEST_NAME}")
    labels = name.split(".")
    for label in labels:
        if not label:
            raise InvalidName(f"{quoted(text)} has an empty label: there is a dot too many")
        if len(label) > _LONGEST_LABEL:
            raise InvalidName(f"{quoted(text)} has a label of {len(label)} octets: {_LONGEST_LABEL} are allowed")
        if not _LABEL.fullmatch(label):
            raise InvalidName(
                f"{quoted(text)} is not a host name: labels hold letters, digits and inner hyphens, divided by dots"
            )
    if labels[-1].isdigit():
        raise InvalidName(f"{quoted(text)} is an address: a host name is needed")
    return name


def read_name(text: str) -> str:
    """The host name that a person meant by `text`: outer white space, letter case, one trailing dot and U-labels are
    forgiven. Raises InvalidName.

    U-labels are mapped as browsers do (UTS 46, IDNA 2008).
    """
    name = text.strip().removesuffix(".")
    if not name.isascii():
        if len(name) > _LONGEST_NAME:
            raise InvalidName(f"{quoted(text)} has {len(name)} characters: a name has at most {_LONGEST_NAME}")
        import idna  # comes with requests, on which azure-core stands; few requests and rows need it

        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError) as error:
            raise InvalidName(f"{quoted(text)} is not a domain name: {quoted(str(error))}") from error
    return host_name(name)


def unicode_name(name: str) -> str:
    """The name as people write it, with U-labels; the name itself where it has none."""
    if "xn--" not in name:
        return name
    import idna

    try:
        return idna.decode(name)
    except (idna.IDNAError, UnicodeError):
        return name


def policy_domain(host: str | None) -> str | None:
    """The policy domain that a Host header asks for: `MTA-STS.Contoso.com.:443` -> `contoso.com`.

    None where the header is absent or names anything but `mta-sts.` and a domain (RFC 8461 section 3.3): an address,
    several values, a name too long. What is returned is safe as a key of Table Storage.
    """
    if not host or len(host) > 2 * _LONGEST_NAME:
        return None
    return _policy_domain(host)


def policy_host(domain: str) -> str:
    """The host name that serves the policy of `domain` (RFC 8461 section 3.3)."""
    return _POLICY_HOST_PREFIX + domain


def quoted(text: str) -> str:
    """`text` fit for a log line or an error message: quoted, printable ASCII only, cut after 80 characters."""
    return ascii(text if len(text) <= 80 else text[:80] + "...")


@lru_cache(maxsize=8192)
def _policy_domain(host: str) -> str | None:
    match = _HOST_HEADER.fullmatch(host)
    if not match:
        return None
    try:
        name = read_name(match["name"])
    except InvalidName:
        return None
    domain = name.removeprefix(_POLICY_HOST_PREFIX)
    return domain if domain != name else None
