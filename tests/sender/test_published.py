"""What DNS and the policy host show, compared with the revisions, where no real server is needed to tell."""

from hypothesis import given
from hypothesis import strategies as st

from policy_store.policy import Policy
from policy_store.sender.published import DnsStatus, TxtState, compare, served_word, with_served
from policy_store.tables.history import Revision

_OLD = Policy(mode="testing", mx=("mx.example.com",), max_age=86400)
_NEW = Policy(mode="enforce", mx=("mx.example.com",), max_age=604800)


def _revisions(*policies: Policy) -> list[Revision]:
    keys = (f"202611241930{second:02}Z" for second in range(len(policies)))
    return [Revision("contoso.com", key, key, policy.text) for key, policy in zip(keys, policies, strict=False)]


class TestCompare:
    def test_a_text_that_came_back_is_right_by_its_new_id_only(self) -> None:
        first, _, third = revisions = _revisions(_OLD, _NEW, _OLD)
        assert compare(TxtState((f"v=STSv1; id={third.id};",)), revisions) == DnsStatus("right", third.id, third)
        status = compare(TxtState((f"v=STSv1; id={first.id};",)), revisions)
        assert (status.word, status.revision) == ("older revision", first)
        assert status.detail == "DNS shows 20261124193000Z, which was replaced on 2026-11-24 19:30 UTC"

    def test_without_revisions_every_id_is_unknown(self) -> None:
        assert compare(TxtState(("v=STSv1; id=1;",)), []).word == "unknown id"

    def test_a_failed_lookup_is_never_a_missing_record(self) -> None:
        assert compare(TxtState(error="no answer in time"), []).word == "lookup failed"

    @given(st.lists(st.text(st.characters(max_codepoint=255), max_size=40).map("v=STSv1;".__add__) | st.text()))
    def test_whatever_dns_shows_can_be_printed(self, texts: list[str]) -> None:
        status = compare(TxtState(tuple(texts)), _revisions(_OLD, _NEW))
        assert status.detail.isprintable()
        assert (status.id or "").isprintable()


class TestServedText:
    def test_a_text_that_came_back_is_the_newest(self) -> None:
        assert served_word(_OLD.text.encode(), _revisions(_OLD, _NEW, _OLD)) == ("newest text", "")

    def test_a_revision_that_holds_no_policy_is_passed_over(self) -> None:
        broken = Revision("contoso.com", "20261124193059Z", "1", "nothing")
        assert served_word(_NEW.text.encode(), [broken, *_revisions(_NEW)])[0] == "newest text"

    def test_another_text_counts_only_where_dns_shows_the_newest_id(self) -> None:
        right, missing = DnsStatus("right", "1"), DnsStatus("missing")
        older = served_word(_OLD.text.encode(), _revisions(_OLD, _NEW))
        assert with_served(right, older).word == "not served"
        assert with_served(missing, older) == missing
        assert with_served(right, ("not fetched", "")) == right

    @given(st.binary(max_size=200))
    def test_whatever_is_served_can_be_printed(self, octets: bytes) -> None:
        assert served_word(octets, _revisions(_NEW))[1].isprintable()
