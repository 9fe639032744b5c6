"""`mta-sts bind --run` and `unbind --run` by the real Azure CLI, against an Azure on loopback with Azure's rules."""

import json

import pytest
from typer.testing import CliRunner

from policy_store.azure import runner
from policy_store.cli import app
from policy_store.cli.errors import DONE, PROBLEM, UNREACHABLE
from tests.cli.conftest import Run
from tests.deploy.conftest import SignedIn
from tests.deploy.resource_manager import APP, APP_HOST, GROUP, VERIFICATION_ID, Azure

_HOST = "mta-sts.contoso.com"
_PLANS = ["dedicated", "flex"]


@pytest.fixture
def azure(signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch) -> Azure:
    """An Azure with nothing bound, which the command reaches through `az`."""
    found, _, environment = signed_in
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(runner, "PAUSE", 0.05)
    found.reset("dedicated")
    return found


@pytest.fixture
def run(azure: Azure, signed_in: SignedIn) -> Run:
    """Run a command for the app."""
    resolver = f"127.0.0.1:{signed_in[1].port}"

    return lambda command, *words: CliRunner().invoke(
        app, [command, "--app", APP, "-g", GROUP, "--resolver", resolver, *words]
    )


def in_dns(azure: Azure, host: str) -> None:
    """Both records are published."""
    azure.names[host] = {"CNAME": [APP_HOST]}
    azure.names[f"asuid.{host}"] = {"TXT": [VERIFICATION_ID]}


@pytest.mark.parametrize("plan", _PLANS)
def test_a_domain_is_bound_with_a_free_certificate_and_taken_away(run: Run, azure: Azure, plan: str) -> None:
    azure.reset(plan)
    in_dns(azure, _HOST)
    done = run("bind", "contoso.com", "--run")
    assert (done.exit_code, done.stdout) == (DONE, "# contoso.com: bound\n"), done.output
    [certificate] = azure.certificates.values()
    assert azure.bound == {_HOST: certificate["thumbprint"]}

    writes = list(azure.writes)
    assert run("bind", "contoso.com", "--run").stdout == "# contoso.com: bound\n"
    assert azure.writes == writes

    refused = run("unbind", "contoso.com", "--run")
    assert refused.exit_code == PROBLEM
    assert "still leads to" in refused.stderr
    del azure.names[_HOST]
    done = run("unbind", "contoso.com", "--run")
    assert done.exit_code == DONE, done.output
    assert (azure.bound, azure.certificates) == ({}, {})
    assert done.stdout.splitlines() == [
        "# contoso.com: unbound",
        f'# remove: asuid.{_HOST}. 300 IN TXT "{VERIFICATION_ID}"',
    ]


def test_records_in_azure_dns_are_made_and_waited_for(run: Run, azure: Azure) -> None:
    """The proof of another app stays; a certificate takes its time."""
    azure.names[f"asuid.{_HOST}"] = {"TXT": ["OTHER"]}
    azure.looks_before_issued = 2
    done = run("bind", "contoso.com", "--run", "--dns-group", "zones", "--json")
    assert done.exit_code == DONE, done.output
    assert azure.names[f"asuid.{_HOST}"]["TXT"] == ["OTHER", VERIFICATION_ID]
    assert azure.names[_HOST] == {"CNAME": [APP_HOST]}
    assert list(azure.bound) == [_HOST]
    assert azure.bound[_HOST]
    [item] = json.loads(done.stdout)
    assert item["status"] == "done"
    assert not any(item[left] for left in ("records_first", "commands", "records_last"))


def test_a_host_name_that_the_app_does_not_get_leaves_dns_as_it_is(run: Run, azure: Azure) -> None:
    azure.names[_HOST] = {"CNAME": ["old.example"]}
    azure.taken = _HOST
    ended = run("bind", "contoso.com", "--run", "--dns-group", "zones")
    assert ended.exit_code == PROBLEM
    assert "is on another app already" in ended.stderr
    assert azure.names[_HOST] == {"CNAME": ["old.example"]}

    azure.taken = ""
    assert run("bind", "contoso.com", "--run", "--dns-group", "zones").exit_code == DONE
    assert azure.names[_HOST] == {"CNAME": [APP_HOST]}
    assert azure.names[f"asuid.{_HOST}"]["TXT"] == [VERIFICATION_ID]
    assert azure.bound[_HOST]


def test_ones_own_certificate_is_bound_before_dns_leads_to_the_app(run: Run, azure: Azure) -> None:
    azure.names[_HOST] = {"CNAME": ["old.example"]}
    azure.names[f"asuid.{_HOST}"] = {"TXT": [VERIFICATION_ID]}
    own = {"name": "own", "hostNames": ["*.contoso.com"], "thumbprint": "A" * 40}
    azure.certificates["own"] = own
    done = run("bind", "contoso.com", "--run", "--thumbprint", "a" * 40)
    assert done.exit_code == DONE, done.output
    assert azure.bound == {_HOST: "A" * 40}
    assert done.stdout.splitlines() == [
        "# contoso.com: bound",
        f"# publish now: {_HOST}. 300 IN CNAME {APP_HOST}.",
    ]
    again = run("bind", "contoso.com", "--run", "--dns-group", "zones")
    assert again.stdout == done.stdout
    assert azure.names[_HOST] == {"CNAME": ["old.example"]}

    assert run("unbind", "contoso.com", "--run").exit_code == DONE
    assert azure.certificates == {"own": own}


def test_one_domain_that_fails_leaves_the_others_and_goes_on_later(run: Run, azure: Azure) -> None:
    in_dns(azure, _HOST)
    in_dns(azure, "mta-sts.fabrikam.com")
    azure.busy = _HOST
    in_dns(azure, "mta-sts.litware.com")
    del azure.names["asuid.mta-sts.litware.com"]

    ended = run("bind", "contoso.com", "litware.com", "fabrikam.com", "--run")
    assert ended.exit_code == PROBLEM
    assert "contoso.com was not bound: az functionapp config ssl create says:" in ended.stderr
    assert "The service is busy." in ended.stderr
    assert ended.stdout.splitlines() == [
        "# litware.com: waits for DNS",
        f'# publish first: asuid.mta-sts.litware.com. 300 IN TXT "{VERIFICATION_ID}"',
        "# fabrikam.com: bound",
    ]
    assert azure.bound == {_HOST: None, "mta-sts.fabrikam.com": azure.bound["mta-sts.fabrikam.com"]}

    azure.busy = ""
    azure.writes.clear()
    assert run("bind", "contoso.com", "--run").exit_code == DONE
    assert not [write for write in azure.writes if "hostNameBindings" in write]
    assert azure.bound[_HOST]


def test_what_az_says_of_a_certificate_is_told_at_once(run: Run, azure: Azure) -> None:
    """Only that it is not there yet is waited for."""
    in_dns(azure, _HOST)
    azure.closed = True
    ended = run("bind", "contoso.com", "--run")
    assert ended.exit_code == PROBLEM
    assert "az functionapp config ssl show says:" in ended.stderr
    assert "may not look at certificates" in ended.stderr


def test_an_app_that_is_not_there_is_said_by_az_itself(run: Run) -> None:
    refused = run("bind", "contoso.com", "--app", "no-such-app")
    assert refused.exit_code == UNREACHABLE
    assert "The app 'no-such-app' cannot be read: az functionapp show says: Not Found" in refused.stderr
