"""Domain names as MTA-STS writes them, and the way from a Host header to a policy domain.

Inside the app a name is always lower-case ASCII: LDH labels with internationalised labels as A-labels (RFC 5890),
no trailing dot. Everything that becomes a storage key or a line of a policy passes through here first.
"""

import re
from functools import lru_cache

_POLICY_HOST_PREFIX = "mta-sts."  # RFC 8461 section 3.3
_LONGEST_NAME = 253  # bytes without the trailing dot: RFC 1035 section 2.3.4
_LONGEST_LABEL = 63
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_HOST_HEADER = re.compile(r"(?P<name>[^:]+)(?::[0-9]{0,5})?")  # host [":" port]: RFC 9110 section 7.2

# Unicode's Default_Ignorable_Code_Point (DerivedCoreProperties.txt) beyond the characters of category Cf: joiners,
# fillers, variation selectors, and code points that are set aside for more of them. The property's range is stable.
_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)


class InvalidName(ValueError):
    """A text is not a domain name; the message says what is wrong with it and what is allowed."""


def host_name(text: str) -> str:
    """The host name `text` in lower case.

    Strict, as a line of a policy must be (RFC 8461 section 3.2, `Domain` of RFC 5321 section 4.1.2): LDH labels of at
    most 63 bytes, 253 in all, no trailing dot, no U-label, no address. Raises InvalidName.
    """
    if not text:
        raise InvalidName("a host name is missing")
    if not text.isascii():  # asked before lower(), which turns the Kelvin sign into a k
        refuse_invisible(text)
        raise InvalidName(f"{quoted(text)} is not ASCII: write internationalised names as A-labels (xn--…)")
    name = text.lower()
    if name.endswith("."):
        raise InvalidName(f"{quoted(text)} ends with a dot: leave the dot out")
    if len(name) > _LONGEST_NAME:
        raise InvalidName(f"{quoted(text)} has {len(name)} bytes: a name has at most {_LONGEST_NAME}")
    labels = name.split(".")
    for label in labels:
        if not label:
            raise InvalidName(f"{quoted(text)} has an empty label: there is a dot too many")
        if len(label) > _LONGEST_LABEL:
            raise InvalidName(f"{quoted(text)} has a label of {len(label)} bytes: {_LONGEST_LABEL} are allowed")
        if not _LABEL.fullmatch(label):
            raise InvalidName(
                f"{quoted(text)} is not a host name: labels have letters, digits and inner hyphens, "
                "with dots between them"
            )
    if labels[-1].isdigit():
        raise InvalidName(f"{quoted(text)} is an address: a host name is needed")
    return name


def read_name(text: str) -> str:
    """The host name that a person meant by `text`: white space and invisible characters at both ends, letter case, one
    trailing dot and U-labels are forgiven. Raises InvalidName.

    U-labels are mapped as browsers do (UTS 46, IDNA 2008), except that an invisible character inside is refused: UTS 46
    drops it, and two names that a person sees as two would become one.
    """
    name = trimmed(text).removesuffix(".")
    if not name.isascii():
        refuse_invisible(name)
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


def domain_name(text: str) -> str:
    """The policy domain `text` in lower case: a host name, strictly, of two labels or more. Raises InvalidName."""
    return _with_two_labels(host_name(text))


def read_domain(text: str) -> str:
    """The policy domain that a person meant by `text`, forgiven as in read_name. Raises InvalidName."""
    return _with_two_labels(read_name(text))


def mail_domain(text: str) -> str:
    """The domain that a person wants a policy for: as read_domain, and the name of its policy host, which everybody
    handles, stands for the domain: `mta-sts.contoso.com` is contoso.com. Raises InvalidName.
    """
    domain = read_domain(text)
    return domain_of_host(domain) or domain


def domain_of_host(name: str) -> str | None:
    """The domain whose policy the host `name` serves; None where the name is not that of a policy host."""
    domain = name.removeprefix(_POLICY_HOST_PREFIX)
    return domain if domain != name and "." in domain else None


def named_for_host(domain: str, mode: str | None) -> str | None:
    """What is wrong with a row of this domain and mode whose domain is the name of a policy host, of which senders ask
    nothing; None where the domain is none, and where the policy is withdrawn (RFC 8461 section 3.3).
    """
    meant = domain_of_host(domain.lower())
    if meant is None or mode == "none":
        return None
    return f"{domain} is the host that serves the policy of {meant}: is {meant} meant?"


def trimmed(text: str) -> str:
    """`text` without white space and invisible characters at both ends."""
    text = text.strip()
    if text.isascii():
        return text
    start, end = 0, len(text)
    while start < end and _leaves_no_mark(text[start]):
        start += 1
    while end > start and _leaves_no_mark(text[end - 1]):
        end -= 1
    return text[start:end]


def invisible_in(text: str) -> str | None:
    """The first invisible character in `text`, as in U+200B: one that Unicode lets displays ignore (property
    Default_Ignorable_Code_Point) or that only formats (category Cf). None where all can be seen.
    """
    if text.isascii():
        return None
    return next((f"U+{ord(character):04X}" for character in text if _is_invisible(character)), None)


def refuse_invisible(text: str) -> None:
    """Raise InvalidName where a character inside a name cannot be seen."""
    if found := invisible_in(text):
        raise InvalidName(
            f"{quoted(text)} has the invisible character {found}: delete it, or put a space there if two names meet"
        )


def policy_domain(host: str | None) -> str | None:
    """The policy domain that a Host header asks for: `MTA-STS.Contoso.com.:443` -> `contoso.com`.

    None where the header is absent or names anything but `mta-sts.` and a domain (RFC 8461 section 3.3): an address,
    several values, a name too long, a top-level domain. What is returned is safe as a key of Table Storage.
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
    return domain_of_host(name)


def _with_two_labels(name: str) -> str:
    if "." not in name:
        raise InvalidName(f"{quoted(name)} is only one label: a mail domain has two or more, as in contoso.com")
    return name


def _is_invisible(character: str) -> bool:
    if character.isascii():
        return False
    from unicodedata import category  # few names need it

    return category(character) == "Cf" or _IGNORABLE.match(character) is not None


def _leaves_no_mark(character: str) -> bool:
    return character.isspace() or _is_invisible(character)
