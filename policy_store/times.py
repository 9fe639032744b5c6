"""Times for people, in UTC and to the minute."""

from datetime import UTC, datetime, timedelta


def shown(time: datetime) -> str:
    """A time: `2026-11-24 19:30 UTC`."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def shown_due(time: datetime) -> str:
    """A time before which something must not happen: the next full minute."""
    return shown(time + timedelta(minutes=1) - timedelta(microseconds=1))
