"""Times for people, in UTC and to the minute."""

from datetime import UTC, datetime, timedelta


def shown(time: datetime) -> str:
    """A time: `2026-11-24 19:30 UTC`."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def shown_due(time: datetime) -> str:
    """A time before which something must not happen: the next full minute."""
    return shown(time + timedelta(minutes=1) - timedelta(microseconds=1))


def age(since: datetime, now: datetime) -> str:
    """How long ago `since` was: `12 d`, `3 h`, `5 min`."""
    minutes = (now - since) // timedelta(minutes=1)
    if minutes < 60:
        return f"{max(minutes, 0)} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} d"
