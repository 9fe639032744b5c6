"""What people see, kept as files in tests/data/screens: 80 columns, ids, times and the operator's name made the same.

After a wanted change delete the file and run the test twice: the first run writes it again and fails.
"""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.data.tables import TableClient

from policy_store.cli import session
from policy_store.policy import Policy
from policy_store.tables.store import Store
from tests.cli.conftest import Run

_SCREENS = Path(__file__).parents[1] / "data" / "screens"
_SCREENS_OF = {
    "help": "--help",
    "help_edit": "edit --help",
    "list": "list",
    "list_where": "list --where mode=enforce",
    "show": "show contoso.com",
    "show_invalid": "show northwind.example",
    "history": "history contoso.com",
    "diff": "diff contoso.com",
    "edit_dry_run": "edit contoso.com --max-age 2592000 --add-mx new.contoso.com --dry-run",
    "edit_refused": "edit contoso.com fabrikam.com --mode enforce --max-age 1209600",
    "error": "show adventure-works.example",
    "wrong_use": "edit --max-age 604800",
}


@pytest.fixture
def shop(store: Store, tables: tuple[TableClient, TableClient], monkeypatch: pytest.MonkeyPatch) -> None:
    """Some domains, looked at 12 days after they were written."""
    monkeypatch.setattr(session, "operator", lambda: "ada@contoso")
    outlook = "*.mail.protection.outlook.com"
    policies = {
        "contoso.com": Policy(mode="enforce", mx=(outlook, "mx1.contoso.com"), max_age=1209600),
        "fabrikam.com": Policy(mode="testing", mx=(outlook,), max_age=604800),
        "northwind.example": Policy(mode="testing", mx=("mx.northwind.example",), max_age=604800),
        "the-customer-with-a-name-of-many-words.example": Policy(mode="enforce", mx=(outlook,), max_age=604800),
    }
    first = Policy(mode="testing", mx=(outlook,), max_age=604800)
    row = store.policies.add("contoso.com", first)
    store.history.record(row, store.policies, by="ada@contoso")
    row = store.policies.replace("contoso.com", row.etag, policies.pop("contoso.com"), "the first customer")
    store.history.record(row, store.policies, by="ada@contoso", note="reports read, nothing failed")
    for domain, policy in policies.items():
        store.history.record(store.policies.add(domain, policy), store.policies, by="ada@contoso")
    tables[0].update_entity({"PartitionKey": "northwind.example", "RowKey": "policy", "mode": "enforced"})
    later = datetime.now(UTC) + timedelta(days=12, hours=1)
    monkeypatch.setattr(session, "now", lambda: later)


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("name", _SCREENS_OF)
def test_the_screen_is_as_it_was(run: Run, name: str) -> None:
    words = _SCREENS_OF[name]
    done = run(*words.split())
    seen = _same(f"$ mta-sts {words}\n{done.output}[{done.exit_code}]\n")
    file = _SCREENS / f"{name}.txt"
    if not file.exists():
        file.write_text(seen, encoding="utf-8")
        pytest.fail(f"{file} was missing and is written: look at it.")
    assert seen == file.read_text(encoding="utf-8")
    boxes = "--help" in words
    assert all(len(line) <= 80 for line in seen.splitlines() if boxes or done.exit_code == 0)


def _same(screen: str) -> str:
    """The screen with whatever differs from run to run made the same, and without blanks at the ends of lines."""
    screen = re.sub(r"\b[0-9]{14}Z\b", "20261124193000Z", screen)
    screen = re.sub(r"\b[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}\b", "2026-11-24 19:30", screen)
    screen = re.sub(r"\bStore: .*", "Store: contoso", screen)
    return "".join(f"{line.rstrip()}\n" for line in screen.splitlines())
