"""Each page without a script: what it shows, and that a change is shown before it is made and never overwrites."""

import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from azure.data.tables import TableClient

from policy_store.changes import operations
from policy_store.changes.change import Change
from policy_store.changes.write import write
from policy_store.policy import Policy
from policy_store.tables.row import Row
from policy_store.web.site import Site
from tests.web.conftest import Office
from tests.web.visitor import Visitor, words

_POLICY = Policy(mode="enforce", mx=("mx1.example", "mx2.example"), max_age=1209600)
_HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u202e\x07{{7007*7007}}"


def add(office: Office, domain: str, policy: Policy = _POLICY, *, customer: str = "", note: str = "") -> None:
    """Put a domain into the store."""
    desk = office.desk()
    change = operations.add(desk, desk.store.entry(domain), policy, customer=customer or None, note=note or None)
    assert isinstance(change, Change)
    write(desk.store, change)


def found(visitor: Visitor, path: str, text: str) -> str:
    """The page once it shows the text: the copy of the store follows a change within a moment."""
    for _ in range(100):
        page = visitor.get(path)
        if text in page:
            return page
        time.sleep(0.1)
    raise AssertionError(page)


@pytest.mark.parametrize("path", ["/", "/domains", "/plan", "/history", "/reports", "/import", "/add", "/edit"])
def test_every_page_has_words_for_an_empty_store(visitor: Visitor, path: str) -> None:
    page = visitor.ended(path)
    assert "<h1>" in page
    assert "Traceback" not in page


def test_a_domain_is_added_after_it_was_shown(visitor: Visitor, office: Office) -> None:
    path, _ = visitor.send(visitor.get("/add"), "/add", domain="Contoso.COM.", mx="*.mail.protection.outlook.com")
    shown = visitor.ended(path)
    assert "new, mode testing" in shown
    assert office.store.entry("contoso.com").row is None
    visitor.send(shown, f"{path}/confirm")
    assert "1 added, 0 unchanged, 0 refused" in visitor.ended(path)
    entry = office.store.entry("contoso.com")
    assert entry.newest is not None
    assert entry.newest.by == "ada@contoso"
    found(visitor, "/domains", "contoso.com")


def test_what_is_wrong_in_a_form_stands_beside_its_field(visitor: Visitor) -> None:
    _, page = visitor.send(visitor.get("/add"), "/add", status=400, domain="contoso_com", mx="*", max_age="soon")
    assert page.count('aria-invalid="true"') == 3
    assert "contoso_com" in page


def test_patterns_are_proposed_from_dns(visitor: Visitor, office: Office) -> None:
    office.world.hosts = ("mx7.example",)
    _, page = visitor.send(visitor.get("/add"), "/add", domain="contoso.com", propose="look")
    assert "mx7.example</textarea>" in page


def test_a_refusal_tells_every_reason_and_forcing_needs_one(visitor: Visitor, office: Office) -> None:
    add(office, "contoso.com")
    office.world.hosts = ("mx1.example", "mx2.example")
    form = visitor.get("/domains/contoso.com/edit")
    path, _ = visitor.send(form, "/domains/contoso.com/edit", mx="mx1.example")
    page = visitor.ended(path)
    assert "DNS still lists mx2.example" in page
    _, page = visitor.send(page, f"{path}/again", status=400, why="")
    assert "give the reason" in page
    path, _ = visitor.send(visitor.get(path), f"{path}/again", why="mx2 is gone today", force="1")
    visitor.send(visitor.ended(path), f"{path}/confirm")
    assert "1 changed" in visitor.ended(path)
    entry = office.store.entry("contoso.com")
    assert entry.in_force is not None
    assert entry.in_force.mx == ("mx1.example",)
    assert entry.note == "mx2 is gone today"


def test_a_form_that_was_overtaken_overwrites_nothing(visitor: Visitor, office: Office) -> None:
    """Two tabs: the second one was opened before the first one was saved."""
    add(office, "contoso.com")
    first, second = visitor.get("/domains/contoso.com/edit"), visitor.get("/domains/contoso.com/edit")
    path, _ = visitor.send(first, "/domains/contoso.com/edit", note="from the first")
    visitor.send(visitor.ended(path), f"{path}/confirm")
    visitor.ended(path)
    path, _ = visitor.send(second, "/domains/contoso.com/edit", note="from the second")
    assert "was changed by somebody else" in visitor.ended(path)
    assert office.store.entry("contoso.com").note == "from the first"


def test_a_change_that_was_overtaken_after_it_was_shown_overwrites_nothing(visitor: Visitor, office: Office) -> None:
    add(office, "contoso.com")
    path, _ = visitor.send(visitor.get("/domains/contoso.com/edit"), "/domains/contoso.com/edit", max_age="2419200")
    shown = visitor.ended(path)
    row = office.store.policies.get("contoso.com")
    assert row is not None
    office.store.policies.replace("contoso.com", row.etag, _POLICY, "by another person")
    visitor.send(shown, f"{path}/confirm")
    assert "was changed by somebody else" in visitor.ended(path)
    assert office.store.entry("contoso.com").note == "by another person"


def test_of_two_tabs_that_confirm_at_once_one_is_told_of_the_other(visitor: Visitor, office: Office) -> None:
    """Both were shown before either was confirmed, and one of them takes the policy away."""
    add(office, "contoso.com")
    page = visitor.get("/domains/contoso.com")
    form = visitor.get("/domains/contoso.com/edit")
    first, _ = visitor.send(form, "/domains/contoso.com/edit", max_age="2419200")
    second, _ = visitor.send(page, "/domains/contoso.com/retire", why="they left")
    shown = {path: visitor.ended(path) for path in (first, second)}
    with ThreadPoolExecutor(2) as tabs:
        list(tabs.map(lambda path: visitor.send(shown[path], f"{path}/confirm", sure="1"), (first, second)))
    ends = [visitor.ended(path) for path in (first, second)]
    assert sum("was changed by somebody else" in end for end in ends) == 1
    policy = office.store.entry("contoso.com").in_force
    assert policy is not None
    assert (policy.mode, policy.max_age) in (("enforce", 2419200), ("none", 86400))


def test_confirming_twice_writes_once(visitor: Visitor, office: Office) -> None:
    add(office, "contoso.com")
    path, _ = visitor.send(visitor.get("/domains/contoso.com/edit"), "/domains/contoso.com/edit", max_age="2419200")
    shown = visitor.ended(path)
    for _ in range(3):
        visitor.send(shown, f"{path}/confirm")
    visitor.ended(path)
    assert len(office.store.entry("contoso.com").revisions) <= 2


def test_many_domains_are_changed_once_their_number_is_typed_and_come_back(visitor: Visitor, office: Office) -> None:
    for number in range(12):
        add(office, f"tenant{number}.example", customer="Fabrikam" if number % 2 else "Contoso")
    found(visitor, "/domains", "tenant9.example")
    page = visitor.get("/edit?every=1")
    path, _ = visitor.send(page, "/edit", action="retire", why="a slip")
    shown = visitor.ended(path)
    assert "12 domains: mode enforce -> none" in words(shown)
    assert "It takes protection away" in shown
    _, page = visitor.send(shown, f"{path}/confirm", status=400, count="11")
    assert "Type 12 to go on." in page
    visitor.send(shown, f"{path}/confirm", count="12")
    assert "12 retired" in visitor.ended(path)
    office.world.hosts = ("mx1.example",)
    history = found(visitor, "/history", "a slip")
    key = re.search(r'name="run" value="([^"]+)"', history)
    assert key is not None
    path, _ = visitor.send(history, "/history/undo", run=key[1])
    shown = visitor.ended(path)
    assert "12 domains: mode none -> enforce, max_age 86400 -> 1209600" in words(shown)
    visitor.send(shown, f"{path}/confirm", count="12")
    assert "12 put back" in visitor.ended(path)


def test_taking_protection_away_from_several_needs_a_reason(visitor: Visitor, office: Office) -> None:
    for name in ("one.example", "two.example"):
        add(office, name)
    found(visitor, "/domains", "two.example")
    page = visitor.get("/edit?domain=one.example&domain=two.example")
    path, _ = visitor.send(page, "/edit", action="retire")
    shown = visitor.ended(path)
    assert f"{path}/confirm" not in shown
    path, _ = visitor.send(shown, f"{path}/again", why="both left")
    assert f"{path}/confirm" in visitor.ended(path)


def test_a_filter_leaves_what_matches(visitor: Visitor, office: Office) -> None:
    add(office, "contoso.com", customer="Contoso", note="alpha")
    add(office, "fabrikam.com", customer="Fabrikam")
    add(office, "xn--bcher-kva.example")
    found(visitor, "/domains", "xn--bcher-kva")
    assert "fabrikam.com" not in visitor.get("/domains?customer=Contoso").replace("Fabrikam", "")
    assert "contoso.com" in visitor.get("/domains?q=ALPHA")
    assert "xn--bcher-kva" in visitor.get("/domains?q=bücher.example")
    assert "No domain matches" in visitor.get("/domains?where=max_age+%3C+5")


def test_what_strangers_wrote_is_never_markup(
    visitor: Visitor, office: Office, tables: tuple[TableClient, TableClient]
) -> None:
    add(office, "contoso.com", customer=_HOSTILE.replace("\x07", ""), note=_HOSTILE.replace("\x07", ""))
    policies, history = tables
    wrong = {"PartitionKey": "evil.example", "RowKey": "policy", "mode": _HOSTILE, "mx": _HOSTILE, "customer": _HOSTILE}
    policies.create_entity({name: value.replace("\x07", "") for name, value in wrong.items()})
    policies.create_entity({"PartitionKey": "<b>bold", "RowKey": "policy", "mode": "none", "max_age": 1})
    for key in ("20260101000000Z", "20260102000000Z"):
        cells = {"id": "a1", "text": _HOSTILE.replace("\x07", ""), "by": _HOSTILE.replace("\x07", ""), "note": "<i>"}
        history.create_entity({"PartitionKey": "evil.example", "RowKey": key, **cells})
    found(visitor, "/domains", "evil.example")
    paths = ["/", "/domains", "/plan", "/history", "/domains/contoso.com", "/domains/evil.example"]
    paths += ["/domains/contoso.com/edit", "/domains/evil.example/edit", "/edit?every=1", "/domains?q=%3Cscript%3E"]
    for path in paths:
        page = visitor.get(path)
        assert "<script>alert" not in page, path
        assert "<img src=x" not in page, path
        assert "<b>bold" not in page, path
        assert "<i>" not in page, path
        assert "\u202e" not in re.sub(r'value="[^"]*"|<textarea.*?</textarea>', "", page, flags=re.DOTALL), path
        assert "49098049" not in re.sub(r"[^0-9]", "", page), path


def test_what_dns_answers_is_never_markup(visitor: Visitor, office: Office) -> None:
    add(office, "contoso.com")
    office.world.hosts = ("</script><b>mx.example", "javascript:alert(1)", "\u202emx.example")
    office.world.id, office.world.served = '"><img src=x onerror=alert(1)>', "<i>\r\n"
    visitor.send(visitor.get("/domains/contoso.com"), "/domains/contoso.com/check")
    page = visitor.ended("/domains/contoso.com")
    _, form = visitor.send(visitor.get("/add"), "/add", domain="fabrikam.com", propose="look")
    path, _ = visitor.send(page, "/domains/contoso.com/retire")
    for text in (page, form, visitor.ended(path)):
        assert "<b>" not in text
        assert "<img src=x" not in text
        assert "<i>" not in text
        assert 'href="javascript' not in text
    assert "javascript:alert(1)" in page  # as a word
    assert "\u202e" not in page


def test_formulas_and_very_long_cells_are_words(visitor: Visitor, office: Office) -> None:
    name = ".".join(("a" * 63, "b" * 63, "c" * 63, "d" * 55, "com"))
    add(office, name, customer="=HYPERLINK(1)" + "x" * 200, note="@SUM(1) " * 20)
    page = found(visitor, "/domains", name)
    assert len(page) < 20_000
    assert "=HYPERLINK(1)" in page
    visitor.get(f"/domains/{name}")
    path, _ = visitor.send(visitor.get(f"/domains/{name}/edit"), f"/domains/{name}/edit", customer="y" * 40_000)
    assert "shorten it to" in visitor.ended(path)


def test_an_import_shows_every_row_and_problem_first(visitor: Visitor, office: Office) -> None:
    rows = "domain,mode,mx,owner\ncontoso.com,testing,mx.example,ann\nbad_name,testing,mx.example,\n"
    rows += "fabrikam.com,testing,,\n"
    file = {"file": ("C:\\list <b>.csv", rows.encode(), "text/csv")}
    path, _ = visitor.send(visitor.get("/import"), "/import", files=file, customer="Contoso")
    shown = visitor.ended(path)
    assert "bad_name" in shown
    assert "nothing reads &#39;owner&#39;: what is in there does not come in" in shown
    assert "<b>" not in shown
    assert "mta-sts-" not in shown.replace("mta-sts-web", "")
    assert office.store.entry("contoso.com").row is None
    visitor.send(shown, f"{path}/confirm")
    assert "1 imported" in visitor.ended(path)
    assert office.store.entry("contoso.com").customer == "Contoso"


def test_a_check_says_what_was_looked_at(visitor: Visitor, office: Office) -> None:
    add(office, "contoso.com")
    office.world.hosts = ("mx1.example", "other.example")
    page = visitor.get("/domains/contoso.com")
    assert "Not checked yet" in page
    visitor.send(page, "/domains/contoso.com/check")
    page = visitor.ended("/domains/contoso.com")
    assert "no pattern matches" in page
    assert "no MX host" in page
    assert "looked at" in page


def test_a_broken_report_is_not_taken_and_says_why(visitor: Visitor) -> None:
    file = {"file": ("<x>.json", b"{broken", "application/json")}
    _, page = visitor.send(visitor.ended("/reports"), "/reports", files=file)
    assert "not taken" in page
    assert "<x>" not in page


def test_a_domain_that_is_not_here_is_one_sentence(visitor: Visitor) -> None:
    assert "is not in the store" in visitor.get("/domains/nothing.example", 404)
    assert "not a host name" in visitor.get("/domains/a_b", 404)
    assert "is not known any more" in visitor.get("/changes/x", 404)


def test_a_store_that_does_not_answer_is_one_sentence(visitor: Visitor, office: Office, site: Site) -> None:
    class Silent:
        def __getattr__(self, name: str) -> object:
            from azure.core.exceptions import ServiceRequestError

            raise ServiceRequestError("secret words of a library")

    object.__setattr__(office.store, "policies", Silent())
    page = visitor.get("/domains/contoso.com", 502)
    assert "cannot be reached" in page
    assert "secret words" not in page


def test_an_edit_leaves_the_words_of_people_as_they_are(visitor: Visitor, office: Office) -> None:
    """A space that does not break, an emoji of several signs, a tab: the form sends what it was given."""
    note, customer = (
        "M\u00fcller\u00a0GmbH \U0001f469\u200d\U0001f4bb\tnow\n\u00ad2",
        "Caf\u00e9\u00a0& S\u00f6hne\u202f!",
    )
    add(office, "contoso.com", note=note, customer=customer)
    form = visitor.get("/domains/contoso.com/edit")
    path, _ = visitor.send(form, "/domains/contoso.com/edit", max_age="2419200")
    shown = visitor.ended(path)
    assert "the note changes" not in shown
    assert "customer" not in shown
    visitor.send(shown, f"{path}/confirm")
    visitor.ended(path)
    assert office.store.entry("contoso.com").note == note
    assert office.store.entry("contoso.com").customer == customer
    page = found(visitor, "/domains", "contoso.com")
    _, page = visitor.follow(page, "/domains", customer=customer)
    assert "1 domain" in page
    assert "No domain matches" not in page


@pytest.mark.parametrize("action", ["retire", "rollback"])
def test_a_change_of_one_domain_carries_its_reason(visitor: Visitor, office: Office, action: str) -> None:
    add(office, "contoso.com")
    entry = office.store.entry("contoso.com")
    assert isinstance(entry.row, Row)
    office.store.policies.replace("contoso.com", entry.row.etag, _POLICY.model_copy(update={"max_age": 86400}), "")
    office.world.hosts = ("mx1.example",)
    page = visitor.get("/domains/contoso.com")
    path, _ = visitor.send(page, f"/domains/contoso.com/{action}", why="the reason <b>")
    visitor.send(visitor.ended(path), f"{path}/confirm", sure="1")
    visitor.ended(path)
    newest = office.store.entry("contoso.com").newest
    assert newest is not None
    assert newest.note == "the reason <b>"


def test_an_undo_carries_its_reason(visitor: Visitor, office: Office) -> None:
    add(office, "contoso.com")
    office.world.hosts = ("mx1.example",)
    path, _ = visitor.send(visitor.get("/domains/contoso.com"), "/domains/contoso.com/retire", why="a slip")
    visitor.send(visitor.ended(path), f"{path}/confirm", sure="1")
    visitor.ended(path)
    history = found(visitor, "/history", "a slip")
    path, _ = visitor.send(history, "/history/undo", why="it was a slip")
    visitor.send(visitor.ended(path), f"{path}/confirm")
    visitor.ended(path)
    newest = office.store.entry("contoso.com").newest
    assert newest is not None
    assert newest.note == "it was a slip"


def test_a_row_that_is_gone_comes_back_from_its_history(
    visitor: Visitor, office: Office, tables: tuple[TableClient, TableClient]
) -> None:
    add(office, "contoso.com")
    tables[0].delete_entity("contoso.com", "policy")
    office.world.hosts = ("mx1.example", "mx2.example")
    page = visitor.get("/domains/contoso.com")
    path, _ = visitor.send(page, "/domains/contoso.com/rollback")
    visitor.send(visitor.ended(path), f"{path}/confirm")
    assert "1 rolled back" in visitor.ended(path)
    assert office.store.entry("contoso.com").row is not None


def test_the_audit_is_run_and_says_what_it_found(
    visitor: Visitor, office: Office, tables: tuple[TableClient, TableClient]
) -> None:
    assert "No edit by hand was recorded yet" in visitor.ended("/audit")
    cells = {"RowKey": "policy", "mode": "testing", "mx": "mx.example", "max_age": 604800}
    tables[0].create_entity({"PartitionKey": "contoso.com", **cells})
    tables[0].create_entity({"PartitionKey": "evil.example", **cells, "mode": "<b>"})
    visitor.send(visitor.get("/audit"), "/audit")
    page = visitor.ended("/audit")
    assert "2 domains: 1 recorded, 1 invalid" in page
    assert "evil.example" in page
    assert "<b>" not in page
    newest = office.store.entry("contoso.com").newest
    assert newest is not None
    assert newest.by == "audit by ada@contoso"
    assert "Last recorded" in found(visitor, "/", "Last recorded")


def test_reading_again_keeps_the_filter(visitor: Visitor, office: Office) -> None:
    add(office, "contoso.com")
    page = found(visitor, "/domains?q=nothing&mode=none", "No domain matches")
    path, page = visitor.send(page, "/read-again")
    assert path == "/domains"
    assert 'value="nothing"' in page
    _, page = visitor.send(page, "/read-again", back="//evil.example/")
    assert "<h1>Overview</h1>" in page
    for back in ("/\\evil.example", "/\tevil", "javascript:alert(1)"):
        answer = visitor.client.post(
            "/read-again",
            data={"csrf": visitor.csrf(page), "back": back},
            headers=visitor.origin,
            follow_redirects=False,
        )
        assert answer.headers["location"].startswith("/")
        assert answer.headers["location"][1:2] not in ("/", "\\", "\t")


def test_a_condition_that_cannot_be_read_stands_beside_its_field(visitor: Visitor, office: Office) -> None:
    add(office, "contoso.com")
    found(visitor, "/domains", "contoso.com")
    page = visitor.get("/domains?where=nonsense&q=cont", 400)
    assert "is not FIELD OP VALUE" in page
    assert 'value="nonsense"' in page
    assert 'value="cont"' in page


def test_what_is_not_there_is_said_in_a_sentence(visitor: Visitor) -> None:
    assert "There is no such page." in visitor.get("/nothing", 404)
    assert "There is no such page." in visitor.get("/domains/contoso.com/nothing", 404)
    answer = visitor.client.post("/plan", headers=visitor.origin)
    assert answer.status_code == 405
    assert "cannot be sent here" in answer.text
