"""What lint knows of mx patterns: how the MX hosts of big providers are named, and which patterns go together."""

from collections.abc import Container, Iterator, Sequence

from policy_store.lint.known_names import completed, has_top_level_domain, is_microsofts, is_top_level_domain

# Zones of Exchange Online, how many labels the names of MX hosts there have, and what these look like. In outlook.com
# more than one zone holds MX hosts (mail.protection, olc.protection, mail.eo), all of them at this depth.
_EXCHANGE = (
    ("outlook.com", 5, "'<name>.mail.protection.outlook.com'"),
    ("mx.microsoft", 4, "'<name>.<x>-v1.mx.microsoft'"),
    # the clouds for the government of the United States, for China, and the former one for Germany
    ("office365.us", 5, "'<name>.mail.protection.office365.us'"),
    ("outlook.cn", 6, "'<name>.mail.protection.partner.outlook.cn'"),
    ("outlook.de", 5, "'<name>.mail.protection.outlook.de'"),
)
_EXCHANGE_HOSTS = (
    ".mail.protection.outlook.com",
    ".mx.microsoft",
    ".mail.protection.office365.us",
    ".mail.protection.partner.outlook.cn",
    ".mail.protection.outlook.de",
)  # here one label stands for the domain
_GOOGLE_NOTHING = ("google.com", "l.google.com", "gmail.com", "*.gmail.com", "googlemail.com")
_SUBMISSION_HOSTS = ("smtp.gmail.com", "smtp.office365.com", "outlook.office365.com")


def pattern_notes(patterns: Sequence[str], domain: str | None = None) -> Iterator[tuple[str, str, str]]:
    """The findings on the `patterns` of a domain, each valid by itself: a pattern, a code of RULES, and a sentence."""
    known = frozenset(patterns)
    for pattern in patterns:
        if found := _found(pattern, known) or _incomplete(pattern, domain):
            yield (pattern, *found)
        name, _, parent = pattern.partition(".")
        if name != "*" and f"*.{parent}" in known:
            yield pattern, "mx_covered", f"*.{parent} covers {pattern} too"


def _found(pattern: str, patterns: Container[str]) -> tuple[str, str] | None:
    """The code and the sentence for one pattern beside the others."""
    if is_top_level_domain(pattern.removeprefix("*.")):
        return "mx_single_label", f"{pattern} is a wildcard for everybody's names"
    if pattern in _GOOGLE_NOTHING:
        return "mx_matches_nothing", f"{pattern} matches no MX host of Google, such as aspmx.l.google.com"
    if pattern == "*.google.com":
        return "mx_google_wildcard", "*.google.com matches smtp.google.com, but not aspmx.l.google.com or the others"
    if pattern == "*.l.google.com" and "*.aspmx.l.google.com" not in patterns:
        return "mx_google_wildcard", "*.l.google.com matches aspmx.l.google.com, but not alt1.aspmx.l.google.com"
    if pattern in _SUBMISSION_HOSTS:
        return "mx_submission_host", f"{pattern} takes mail from mail programs and is no MX host"
    if is_microsofts(pattern):
        return "mx_onmicrosoft", f"{pattern}: no MX host has a name in a domain that Microsoft gives to tenants"
    for zone, depth, hosts in _EXCHANGE:
        if _within(pattern, zone):
            labels = pattern.count(".") + 1
            if labels < depth:
                return "mx_matches_nothing", f"{pattern} matches no MX host of Exchange Online: they are named {hosts}"
            if labels > depth and pattern.endswith(_EXCHANGE_HOSTS):
                return "mx_exchange_dots", f"{pattern} has several labels where Exchange Online has one: {hosts}"
    return None


def _incomplete(pattern: str, domain: str | None) -> tuple[str, str] | None:
    """The code and the sentence for a pattern that lacks its last labels."""
    if whole := completed(pattern, domain):
        return "mx_matches_nothing", f"{pattern} is not the full name of an MX host: is {whole} meant?"
    if not has_top_level_domain(pattern):
        return "unknown_top_level", f"{pattern}: there is no top-level domain {pattern.rpartition('.')[2]}"
    return None


def _within(pattern: str, zone: str) -> bool:
    return pattern == zone or pattern.endswith(f".{zone}")
