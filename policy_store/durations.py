"""Seconds as people write them, `604800`, `60d` or `8w`: one reader for rows, files and options, and words for them."""

import re

from policy_store.names import trimmed

MINUTE, HOUR, DAY, WEEK = 60, 3600, 86400, 604800

# Two weeks. RFC 8461 section 3.2 wants "weeks or greater", MailCheck of the UK's NCSC two weeks or more; Mimecast's
# library raises an enforced policy to one week, postfix-tlspol keeps none for more than 30 days, and a change that does
# not wait for it is a new id. So two weeks is the least that nobody complains of, and the soonest that a policy can go.
DEFAULT_MAX_AGE = 2 * WEEK

_UNITS = {"s": 1, "h": HOUR, "d": DAY, "w": WEEK}
_SECONDS = re.compile(r"(?P<seconds>[0-9]{1,10})(?:\.0{1,2})?")  # three zeros would be thousands in half of the world
_LONG = re.compile(
    r"(?P<count>[0-9]{1,8})\s?(?P<unit>s(?:ec(?:onds?)?)?|h(?:ours?)?|d(?:ays?)?|w(?:eeks?)?)", re.IGNORECASE
)
_WORDS = ((WEEK, "week"), (DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (1, "second"))


def read_seconds(value: object) -> int | None:
    """The whole seconds, 0 or more, that a cell or an option holds; None where it holds none.

    A number may be a whole Double (Edm.Double, JSON's 604800.0). A text is a number, or one and a unit: s, h, d or w,
    short or written out.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if value >= 0 else None
    if isinstance(value, float):
        return int(value) if value >= 0 and value.is_integer() else None
    if not isinstance(value, str):
        return None
    text = trimmed(value)
    if match := _SECONDS.fullmatch(text):
        return int(match["seconds"])
    if match := _LONG.fullmatch(text):
        return int(match["count"]) * _UNITS[match["unit"][0].lower()]
    return None


def in_words(seconds: int) -> str:
    """`seconds` in the largest unit that needs no fraction: 1209600 is `2 weeks`, 90 is `90 seconds`."""
    for length, unit in _WORDS:
        if seconds and seconds % length == 0:
            count = seconds // length
            return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    return "0 seconds"
