"""The days of an administrator with 300 domains, from the import to a removal, all of it through the command."""

import csv
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from azure.data.tables import TableClient
from typer.testing import Result

from policy_store.cli import session
from policy_store.policy import Policy
from policy_store.sender.facts import Facts, Fetched, PolicyHost
from policy_store.sender.lookup import Lookup
from policy_store.tables.store import Store
from tests.cli.conftest import Run, run, store
from tests.end_to_end.senders.names import DnsServer
from tests.loopback import LoopbackServer
from tests.policy_host import http_answer, policy_hosts

__all__ = ["run", "store"]  # fixtures of the command's own tests

_PROVIDERS = json.loads((Path(__file__).parent / "data" / "day" / "providers.json").read_text(encoding="utf-8"))
_LABELS = [f"customer{number:03}" for number in range(300)]
_DOMAINS = [f"{label}.example" for label in _LABELS]
_SERVED = timedelta(seconds=65)  # after a write every worker serves it
_WEEKS = timedelta(seconds=1209600)  # the max_age of what was imported

_EDITED, _BROKEN, _ELSEWHERE, _FORGOTTEN, _MOVED = _DOMAINS[7], _DOMAINS[8], _DOMAINS[12], _DOMAINS[13], _DOMAINS[15]
_READY = [domain for domain in _DOMAINS[5:20] if domain not in (_ELSEWHERE, _FORGOTTEN)]


@dataclass
class Day:
    """The command, the store behind it, the DNS that the administrator looks after, and what the policy hosts serve."""

    run_command: Run
    store: Store
    rows: TableClient
    monkeypatch: pytest.MonkeyPatch
    resolver: str
    https: tuple[str, ...]
    texts: dict[str, bytes]
    zone: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def run(self, *words: str, code: int = 0) -> Result:
        """Run the command, which has to end with `code`."""
        done = self.run_command(*words)
        assert done.exit_code == code, done.output
        return done

    def ask(self, *words: str, code: int = 0) -> Result:
        """Run a command that asks DNS."""
        return self.run(*words, "--resolver", self.resolver, code=code)

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json").stdout)

    def wait(self, **words: float) -> None:
        """Let the commands' clock show so much later than now, when rows and revisions get their times."""
        time = datetime.now(UTC) + timedelta(**words)
        self.monkeypatch.setattr(session, "now", lambda: time)

    def publish(self, *domains: str) -> None:
        """Put the TXT records that the command asks for into DNS: of these domains, or of all."""
        for record in self.json("dns", "show", *(domains or ["--all"])):
            if record["name"] == f"_mta-sts.{record['domain']}":
                self.zone[record["name"]] = {record["type"]: [record["value"]]}

    def serve(self) -> None:
        """Let the policy hosts serve what is in force, as the app does a minute after a change."""
        for domain in _DOMAINS:
            if revisions := self.store.history.revisions(domain):
                self.texts[f"mta-sts.{domain}"] = http_answer(revisions[-1].text.encode())

    def facts(self, found: Callable[[Lookup, str], Facts]) -> Callable[[Lookup, str], Facts]:
        """What `promote` finds, which asks no private address: the policy hosts serve their texts."""

        def facts(lookup: Lookup, domain: str) -> Facts:
            text = self.store.history.revisions(domain)[-1].text.encode()
            return replace(found(lookup, domain), policy_host=PolicyHost((("192.0.2.2", Fetched(text)),)))

        return facts

    def wrong_in_dns(self) -> dict[str, str]:
        """The domains that `dns check` does not find right, with its word for each."""
        self.serve()
        words = ("dns", "check", "--all", "--json", "--resolver", self.resolver, *self.https)
        checks = json.loads(self.run_command(*words).stdout)
        assert len(checks) == len(_DOMAINS)
        return {check["domain"]: check["status"] for check in checks if check["status"] != "right"}

    def policy(self, domain: str) -> Policy:
        row = self.store.policies.get(domain)
        assert row
        return row.policy

    def since(self, domain: str) -> datetime:
        """Since when the newest revision has been in force."""
        return self.store.history.revisions(domain)[-1].since


@pytest.fixture
def day(
    run: Run,
    store: Store,
    tables: tuple[TableClient, TableClient],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Day]:
    zone: dict[str, dict[str, list[str]]] = {}
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    texts: dict[str, bytes] = {}
    names = [f"mta-sts.{domain}" for domain in _DOMAINS]
    with DnsServer(zone) as server, LoopbackServer(policy_hosts(texts, ca, names)) as hosts:
        https = ("--https-port", str(hosts.port), "--ca-file", str(tmp_path / "ca.pem"), "--allow-private")
        today = Day(run, store, tables[0], monkeypatch, f"127.0.0.1:{server.port}", https, texts, zone)
        for label, domain, provider in _customers():
            records = [mx.format(label=label, domain=domain) for mx in provider["mx"]]
            zone[domain] = {"MX": records}
            for mx in records:
                zone[mx.split()[1].lower().removesuffix(".")] = {"A": ["192.0.2.1"]}  # which is not asked
            zone[f"mta-sts.{domain}"] = {"A": ["127.0.0.1"]}
        monkeypatch.setattr(Lookup, "facts", today.facts(Lookup.facts))
        yield today


def test_the_days_of_an_administrator_with_300_domains(day: Day, tmp_path: Path) -> None:
    """Import, hand edits, audit, DNS, promote, move, retire, remove."""
    day.wait(minutes=2)
    _import(day, tmp_path / "accepted-domains.csv")
    day.publish()
    assert day.wrong_in_dns() == {}
    _edit_by_hand(day)
    _catch_up_with_dns(day)
    _promote(day)
    _move(day)
    _retire_and_remove(day)


def _customers() -> Iterator[tuple[str, str, Any]]:
    for number, (label, domain) in enumerate(zip(_LABELS, _DOMAINS, strict=True)):
        yield label, domain, _PROVIDERS[number % len(_PROVIDERS)]


def _import(day: Day, file: Path) -> None:
    """Every domain of the tenant but Microsoft's own comes in, in testing and with the patterns of its MX records."""
    with file.open("w", encoding="utf-8-sig", newline="") as opened:
        opened.write("#TYPE Microsoft.Exchange.Data.Directory.SystemConfiguration.AcceptedDomain\r\n")
        export = csv.writer(opened, quoting=csv.QUOTE_ALL)
        export.writerow(["DomainName", "CatchAllRecipientID", "DomainType", "Default", "Name", "WhenChangedUTC"])
        for name in ("customers.onmicrosoft.com", *(domain.title() for domain in _DOMAINS)):
            export.writerow([name, "", "Authoritative", "False", name, "1/14/2026 9:12:44 AM"])
    said = day.ask("import", str(file), "--mx-from-dns", "--dry-run").stdout
    assert said.endswith("300 would be added, 0 would be changed, 0 unchanged, 1 left out, 0 with problems\n")
    assert day.json("list") == []
    said = day.ask("import", str(file), "--mx-from-dns").stdout
    assert f"customers.onmicrosoft.com ({file} line 3)" in said
    assert said.endswith("300 added, 0 changed, 0 unchanged, 1 left out, 0 with problems\n")
    listed = {policy["domain"]: policy for policy in day.json("list")}
    for label, domain, provider in _customers():
        policy = listed.pop(domain)
        patterns = [pattern.format(label=label, domain=domain) for pattern in provider["patterns"]]
        assert (policy["mode"], policy["mx"], policy["max_age"]) == ("testing", patterns, 1209600)
        assert policy["problems"] == []
        assert policy["id"]
    assert listed == {}


def _edit_by_hand(day: Day) -> None:
    """The audit makes a revision of the good edit, and tells of the broken one, whose policy stays in force."""
    before = {domain: day.policy(domain) for domain in (_EDITED, _BROKEN)}
    key = {"PartitionKey": _EDITED, "RowKey": "policy"}
    day.rows.update_entity({**key, "max_age": "4w"})
    day.rows.update_entity({**key, "PartitionKey": _BROKEN, "mode": "enforced"})
    problems = {policy["domain"]: policy["problems"] for policy in day.json("list") if policy["problems"]}
    assert set(problems) == {_EDITED, _BROKEN}
    said = day.run("audit", code=1).stdout
    assert "mode is 'enforced'" in said
    assert said.endswith("300 domains: 1 recorded, 1 invalid, 0 that no request finds, 0 vanished\n")
    assert [revision.policy.max_age for revision in day.store.history.revisions(_EDITED)] == [1209600, 2419200]
    (broken,) = (policy for policy in day.json("list") if policy["problems"])
    assert (broken["domain"], broken["mode"], broken["mx"]) == (_BROKEN, "testing", list(before[_BROKEN].mx))
    (task, *_) = day.json("plan")
    assert (task["domain"], task["code"], task["waits_for"]) == (_BROKEN, "invalid_row", "person")
    said = day.run("edit", _BROKEN, "--mode", "testing").stdout
    assert said == f"{_BROKEN}: the row is repaired, the policy in force stays\n"
    assert day.policy(_BROKEN) == before[_BROKEN]
    assert len(day.store.history.revisions(_BROKEN)) == 1
    day.run("audit")


def _catch_up_with_dns(day: Day) -> None:
    """Each way to be out of step with the store shows, until DNS has what the command says."""
    day.wait(minutes=2)
    gone = day.zone.pop(f"_mta-sts.{_FORGOTTEN}")
    (text,) = day.zone[f"_mta-sts.{_MOVED}"]["TXT"]
    day.zone[f"_mta-sts.{_MOVED}"]["TXT"] = [text, "v=STSv1; id=1;"]
    assert day.wrong_in_dns() == {_EDITED: "older revision", _FORGOTTEN: "missing", _MOVED: "two records"}
    said = day.ask("dns", "check", _EDITED, *day.https, code=1).stdout
    newest = day.store.history.revisions(_EDITED)[-1].id
    assert newest in "".join(said.split())
    day.publish(_EDITED, _FORGOTTEN, _MOVED)
    assert day.zone[f"_mta-sts.{_FORGOTTEN}"] == gone
    assert day.zone[f"_mta-sts.{_EDITED}"]["TXT"] == [f"v=STSv1; id={newest};"]
    assert day.wrong_in_dns() == {}


def _promote(day: Day) -> None:
    """Nothing is enforced too early; after two weeks go those whose MX and TXT records are in order."""
    day.wait(days=13)
    said = day.ask("promote", *_DOMAINS[5:20], code=1)
    assert said.stdout == "0 promoted, 0 unchanged, 15 refused\n"
    assert said.stderr.count("testing has lasted since") == 15
    day.wait(days=14, minutes=1)
    day.zone[_ELSEWHERE] = {"MX": ["10 mx.elsewhere.example."]}
    del day.zone[f"_mta-sts.{_FORGOTTEN}"]
    said = day.ask("promote", *_DOMAINS[5:20], "--note", "the reports are clean", "--yes", code=1)
    assert said.stdout.endswith("13 promoted, 0 unchanged, 2 refused\n"), said.stderr
    assert f"{_ELSEWHERE} was not promoted: no pattern matches the MX host mx.elsewhere.example" in said.stderr
    assert f"{_FORGOTTEN} was not promoted: the TXT record does not show the current id" in said.stderr
    enforced = [policy["domain"] for policy in day.json("list", "--where", "mode = enforce")]
    assert enforced == _READY
    assert day.policy(_EDITED).max_age == 2419200
    newest = day.json("history", _MOVED)[0]
    assert (newest["note"], newest["text"]) == ("the reports are clean", day.policy(_MOVED).text)
    day.publish()
    assert day.wrong_in_dns() == {}


def _move(day: Day) -> None:
    """A host may be used when every sender knows it, and dropped when DNS and every sender have forgotten it."""
    day.wait(minutes=2)
    old, new = day.policy(_MOVED).mx, ("mx.new-home.example",)
    said = day.run("edit", _MOVED, "--add-mx", new[0]).stdout
    usable = day.since(_MOVED) + _SERVED + _WEEKS
    assert f"MX records may name {new[0]} from {_shown(usable)} on" in said
    day.publish(_MOVED)
    tasks = {task["code"]: task for task in day.json("plan") if task["domain"] == _MOVED}
    assert tasks["mx_usable"]["due"] == f"{usable:%Y-%m-%dT%H:%M:%SZ}"
    assert set(tasks) == {"mx_usable", "mx_drop"}
    drop = ("edit", _MOVED, "--drop-mx", ",".join(old))
    said = day.ask(*drop, code=1).stderr
    assert "DNS still lists" in said
    assert "senders may keep an older policy until" in said
    day.wait(days=14, minutes=2)
    said = day.ask(*drop, code=1).stderr
    assert "DNS still lists" in said
    assert "senders may keep an older policy until" not in said
    day.zone[_MOVED] = {"MX": [f"10 {new[0]}."]}
    day.ask(*drop)
    assert day.policy(_MOVED) == Policy(mode="enforce", mx=new, max_age=1209600)
    day.publish(_MOVED)
    day.serve()
    day.ask("dns", "check", _MOVED, *day.https)


def _retire_and_remove(day: Day) -> None:
    """A customer leaves: nothing of theirs goes before the last sender has forgotten the enforced policy."""
    day.wait(minutes=2)
    said = day.run("retire", _MOVED, "--note", "the customer left").stdout
    date = re.search(r"have to stay until (.+ UTC)", said)
    assert date
    assert date[1] == _shown(day.since(_MOVED) + _SERVED + _WEEKS)
    day.publish(_MOVED)
    assert f"may keep an older policy until {date[1]}" in day.run("remove", _MOVED, code=1).stderr
    day.wait(days=14)
    day.run("remove", _MOVED, code=1)
    day.wait(days=14, minutes=2)
    (task,) = (task for task in day.json("plan") if task["domain"] == _MOVED)
    assert (task["code"], task["waits_for"]) == ("remove", "person")
    day.run("remove", _MOVED)
    del day.zone[f"_mta-sts.{_MOVED}"]
    assert len(day.json("list")) == 299
    assert [revision.policy.mode for revision in day.store.history.revisions(_MOVED)] == [
        *("testing", "enforce", "enforce", "enforce", "none"),
    ]
    assert day.run("audit").stdout == "300 domains: 0 recorded, 0 invalid, 0 that no request finds, 0 vanished\n"


def _shown(time: datetime) -> str:
    """The full minute from which on something may happen."""
    return f"{time + timedelta(seconds=59):%Y-%m-%d %H:%M} UTC"
