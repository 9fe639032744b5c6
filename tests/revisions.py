"""Policies, revisions and times as the data files of the tests write them."""

from datetime import datetime

from policy_store.policy import Policy
from policy_store.tables.history import Revision, key_of

FRESH_SECONDS = 60


def read_policy(text: str) -> Policy:
    """The policy of `mode max_age pattern…`."""
    mode, max_age, *mx = text.split()
    return Policy.model_validate({"mode": mode, "max_age": int(max_age), "mx": mx})


def read_revision(text: str) -> Revision:
    """The revision of `time mode max_age pattern…`; of the mode `broken`, one whose text is no policy."""
    time, _, policy = text.partition(" ")
    key = key_of(datetime.fromisoformat(time))
    return Revision("contoso.com", key, key, "no policy" if "broken" in policy else read_policy(policy).text)


def read_time(text: str | None) -> datetime | None:
    """The time that the text has; None for None."""
    return None if text is None else datetime.fromisoformat(text)
