"""The checker beside Debian's Postfix, which really sent a message to every domain of the lab (postfix.json)."""

from tests.lab.postfix import recorded
from tests.lab.situation import Situation, load

_SITUATIONS = [situation for situation in load() if situation.run == "allow_private"]
_SAID = recorded()["situations"]
# Where nothing was seen, nothing is said: no connection, silence, a 421, DNS that does not answer, no IPv6 here.
_UNSEEN = {"smtp_unreachable", "smtp_timeout", "smtp_busy", "mx_lookup_failed", "smtp_lookup_failed"}


def test_every_situation_was_tried() -> None:
    assert {situation.name for situation in _SITUATIONS} == _SAID.keys(), "run 'python -m tests.lab.postfix'"


def test_what_postfix_defers_or_bounces_is_called_no_better() -> None:
    better = {
        situation.name: _SAID[situation.name]["why"]
        for situation in _SITUATIONS
        if _SAID[situation.name]["status"] != "sent" and situation.verdict != "deferred" and not _is_unseen(situation)
    }
    assert better == {}


def _is_unseen(situation: Situation) -> bool:
    return situation.verdict == "unknown" and bool(situation.findings & _UNSEEN)


def test_what_postfix_sends_over_verified_tls_alone_is_the_only_thing_called_verified() -> None:
    verified = {situation.name for situation in _SITUATIONS if situation.verdict == "verified"}
    assert {name for name in verified if _SAID[name]["status"] != "sent"} == set()
