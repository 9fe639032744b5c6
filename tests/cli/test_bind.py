"""`mta-sts bind` and `unbind` where no Azure CLI is asked: what is printed, what is refused, and by which record."""

import json
from collections.abc import Iterator, Mapping, Sequence

import pytest
from typer.testing import CliRunner

from policy_store.azure.binding import App, HostDns, binding, unbinding
from policy_store.cli import app
from policy_store.cli.errors import DONE, PROBLEM, UNREACHABLE, WRONG_USE
from policy_store.policy import Policy
from policy_store.tables.store import Store
from policy_store.zone_id import ZoneId
from tests.cli.conftest import Run
from tests.dns_server import DnsServer
from tests.lab.azure_dns import SUBSCRIPTION

_APP_HOST = "contoso-sts-b2c4.westeurope-01.azurewebsites.net"
_OWN = "0123456789ABCDEF0123456789ABCDEF01234567"
_FREE = "89ABCDEF0123456789ABCDEF0123456789ABCDEF"
_LONGEST = f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 45}.example"  # 245 octets: its TXT record would have 259
_LONG = f"{'a' * 49}.example"  # 57 octets: the policy host has 65

type Names = dict[str, dict[str, list[str]]]


@pytest.fixture
def run() -> Run:
    """Run the command with these words, without a store."""
    return lambda *words: CliRunner().invoke(app, words, prog_name="mta-sts")


@pytest.fixture(scope="module")
def dns_server() -> Iterator[tuple[DnsServer, Names]]:
    """A name server and what it shows."""
    names: Names = {}
    with DnsServer(names) as server:
        yield server, names


@pytest.fixture
def names(dns_server: tuple[DnsServer, Names]) -> Names:
    """What DNS shows, for a test to fill; the app's own address is there."""
    _, names = dns_server
    names.clear()
    names[_APP_HOST] = {"A": ["192.0.2.1"]}
    return names


@pytest.fixture
def bind(run: Run, dns_server: tuple[DnsServer, Names], names: Names) -> Run:
    """Run `bind` with these words, on a machine without az."""
    words = ("--app", "contoso-sts", "-g", "mta-sts", "--app-host", _APP_HOST, "--verification-id", "ABC123")
    resolver = ("--resolver", f"127.0.0.1:{dns_server[0].port}")
    return lambda *more: run("bind", *words, *resolver, *more)


@pytest.fixture(autouse=True)
def _no_az(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")


class TestPrinted:
    def test_with_a_free_certificate_dns_leads_to_the_app_first(self, bind: Run) -> None:
        printed = bind("contoso.com")
        assert printed.exit_code == DONE, printed.output
        config = "az functionapp config"
        where = "-g mta-sts -n contoso-sts --hostname mta-sts.contoso.com"
        show = f"{config} ssl show -g mta-sts --certificate-name mta-sts.contoso.com --query thumbprint -o tsv"
        assert printed.stdout.splitlines() == [
            "# contoso.com: to do",
            '# publish first: asuid.mta-sts.contoso.com. 300 IN TXT "ABC123"',
            f"# publish first: mta-sts.contoso.com. 300 IN CNAME {_APP_HOST}.",
            f"{config} hostname add {where}",
            f"{config} ssl create {where}",
            f'{config} ssl bind {where} --ssl-type SNI --certificate-thumbprint "$({show})"',
        ]

    def test_with_ones_own_certificate_dns_leads_to_the_app_last(self, bind: Run) -> None:
        spelled = ":".join(_OWN[at : at + 2].lower() for at in range(0, 40, 2))
        printed = bind("contoso.com", "--thumbprint", spelled)
        assert [line.partition(" -g ")[0] for line in printed.stdout.splitlines()] == [
            "# contoso.com: to do",
            '# publish first: asuid.mta-sts.contoso.com. 300 IN TXT "ABC123"',
            "az functionapp config hostname add",
            "az functionapp config ssl bind",
            f"# publish last: mta-sts.contoso.com. 300 IN CNAME {_APP_HOST}.",
        ]
        assert f"--certificate-thumbprint {_OWN}\n" in printed.stdout

    def test_flex_consumption_keeps_certificates_with_the_app(self, bind: Run) -> None:
        assert "ssl show -g mta-sts -n contoso-sts --certificate-name" in bind("contoso.com", "--plan", "flex").stdout

    def test_records_that_are_there_are_left_out(self, bind: Run, names: Names) -> None:
        names["mta-sts.contoso.com"] = {"CNAME": [_APP_HOST]}
        names["asuid.mta-sts.contoso.com"] = {"TXT": ["OTHER", "ABC123"]}
        assert "publish" not in bind("contoso.com").stdout

    def test_a_cname_by_a_detour_is_to_be_replaced(self, bind: Run, names: Names) -> None:
        names["mta-sts.contoso.com"] = {"CNAME": ["sts.provider.example"]}
        names["sts.provider.example"] = {"CNAME": [_APP_HOST]}
        assert f"# publish first: mta-sts.contoso.com. 300 IN CNAME {_APP_HOST}." in bind("contoso.com").stdout

    def test_records_in_azure_dns_are_commands_and_leave_other_proofs(self, bind: Run) -> None:
        printed = bind("contoso.com", "--dns-group", "the zones", "--zone", "contoso.com").stdout
        where = "-g 'the zones' -z contoso.com -n"
        assert f"az network dns record-set txt add-record {where} asuid.mta-sts -v ABC123\n" in printed
        assert f"az network dns record-set cname set-record {where} mta-sts --ttl 300 -c {_APP_HOST}\n" in printed
        assert "record-set txt create" not in printed

    def test_names_of_azure_are_words_of_a_shell(self, bind: Run) -> None:
        assert "-g 'my group'" in bind("contoso.com", "-g", "my group").stdout
        assert "-n '<thumbprint>' " in bind("contoso.com", "--app", "<thumbprint>").stdout

    def test_what_the_records_show_cannot_end_a_comment(self, bind: Run) -> None:
        refused = bind("contoso.com", "--verification-id", "ABC123\ntouch here")
        assert (refused.exit_code, refused.stdout) == (WRONG_USE, "")
        assert r"'ABC123\ntouch here' is not a verification ID" in refused.stderr

    def test_in_azure_dns_the_app_has_the_name_before_dns_leads_there(self, bind: Run, names: Names) -> None:
        names["mta-sts.contoso.com"] = {"CNAME": ["old.example"]}
        printed = bind("contoso.com", "--dns-group", "zones").stdout.splitlines()
        assert [line.partition(" -g ")[0] for line in printed] == [
            "# contoso.com: to do",
            "az network dns record-set txt add-record",
            "az functionapp config hostname add",
            "az network dns record-set cname set-record",
            "az functionapp config ssl create",
            "az functionapp config ssl bind",
        ]

    def test_all_domains_of_the_store_in_json(self, bind: Run, store: Store) -> None:
        for domain in ("contoso.com", "xn--bcher-kva.example"):
            store.policies.add(domain, Policy(mode="testing", mx=("mx.example.com",), max_age=604800))
        first, second = json.loads(bind("--all", "--json").stdout)
        assert (first["domain"], second["host"]) == ("contoso.com", "mta-sts.xn--bcher-kva.example")
        assert {item["status"] for item in (first, second)} == {"to do"}
        assert [record["type"] for record in first["records_first"]] == ["TXT", "CNAME"]
        assert len(first["commands"]) == 3


class TestRefused:
    @pytest.mark.parametrize(
        ("domain", "records", "says"),
        [
            (_LONG, {}, "65 characters"),
            (_LONGEST, {}, "259 bytes"),
            ("contoso.com", {"contoso.com": {"SERVFAIL": []}}, "CAA records for mta-sts.contoso.com cannot be asked"),
            ("contoso.com", {"mta-sts.contoso.com": {"A": ["192.0.2.7"]}}, "has addresses in DNS ('192.0.2.7')"),
            ("contoso.com", {"contoso.com": {"CAA": ['0 issue "pki.example"']}}, "from 'pki.example' only"),
            ("contoso.com", {"com": {"CAA": ['0 issue ";"']}}, "from nobody only"),
            ("contoso.com", {"mta-sts.contoso.com": {"SERVFAIL": []}}, "the server answers SERVFAIL"),
        ],
    )
    def test_what_azure_would_refuse(self, bind: Run, names: Names, domain: str, records: Names, says: str) -> None:
        names.update(records)
        refused = bind(domain, "fabrikam.example")
        assert refused.exit_code == PROBLEM
        assert says in refused.stderr
        assert domain not in refused.stdout
        assert "hostname add -g mta-sts -n contoso-sts --hostname mta-sts.fabrikam.example" in refused.stdout

    @pytest.mark.parametrize(
        "records",
        [
            ['0 issue "pki.example"', '0 issue "DigiCert.com;account=1"'],
            ['0 iodef "mailto:pki@contoso.com"'],
            ['0 issuewild ";"'],
        ],
    )
    def test_caa_records_that_let_the_certificate_be_issued(self, bind: Run, names: Names, records: list[str]) -> None:
        names["contoso.com"] = {"CAA": records}
        assert bind("contoso.com").exit_code == DONE

    def test_the_nearest_caa_records_count(self, bind: Run, names: Names) -> None:
        names["com"] = {"CAA": ['0 issue "pki.example"']}
        names["contoso.com"] = {"CAA": ['0 issue "digicert.com"']}
        assert bind("contoso.com").exit_code == DONE

    def test_none_of_it_matters_to_ones_own_certificate(self, bind: Run, names: Names) -> None:
        names[_LONG] = {"CAA": ['0 issue ";"']}
        names["contoso.com"] = {"SERVFAIL": []}
        assert bind(_LONG, "contoso.com", "--thumbprint", _OWN).exit_code == DONE

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            ((), "Name the domains, or give --all"),
            (("contoso.com", "--all"), "not both"),
            (("contoso.com", "--thumbprint", "12AB"), "40 hex digits"),
            (("contoso.com", "--app-host", ""), "go together"),
            (("contoso..com",), "contoso..com"),
        ],
    )
    def test_wrong_use_says_how_it_is_meant(self, bind: Run, words: Sequence[str], says: str) -> None:
        refused = bind(*words)
        assert refused.exit_code == WRONG_USE
        assert says in refused.stderr

    @pytest.mark.parametrize("words", [("bind", "contoso.com"), ("unbind", "contoso.com")])
    def test_without_az_it_says_where_there_is_one(self, run: Run, words: Sequence[str]) -> None:
        refused = run(*words, "--app", "contoso-sts", "-g", "mta-sts")
        assert refused.exit_code == UNREACHABLE
        assert "Azure Cloud Shell" in refused.stderr


class TestRules:
    APP = App("contoso-sts", "mta-sts", _APP_HOST, "ABC123", "dedicated")
    THERE = HostDns(cname=_APP_HOST, proofs=("ABC123",))

    def made(self, *certificates: Mapping[str, object], **bound: str | None) -> App:
        """The app with mta-sts.contoso.com bound, in what az would answer."""
        states = [
            {"name": name, "sslState": "SniEnabled", "thumbprint": thumbprint}
            for name, thumbprint in {**bound, _APP_HOST: None, _APP_HOST.replace(".", ".scm.", 1): None}.items()
        ]
        site = {"defaultHostName": _APP_HOST, "customDomainVerificationId": "ABC123", "hostNameSslStates": states}
        return App.read("contoso-sts", "mta-sts", site).with_certificates(list(certificates))

    def test_an_app_takes_500_host_names(self) -> None:
        made = self.made(**{f"mta-sts.d{number}.example": None for number in range(499)})
        assert made.room == 1
        assert not binding("contoso.com", made, self.THERE, room=made.room).problems
        [problem] = binding("contoso.com", made, self.THERE, room=0).problems
        assert "500 host names" in problem

    def test_a_domain_that_is_refused_takes_no_room(
        self, bind: Run, names: Names, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("policy_store.azure.binding._MOST_HOSTS", 1)
        names["contoso.com"] = {"CAA": ['0 issue ";"']}
        refused = bind("contoso.com", "fabrikam.example", "litware.example")
        assert "litware.example was not bound: contoso-sts has 1 host names" in refused.stderr
        assert "# fabrikam.example: to do" in refused.stdout

    def test_what_is_done_is_not_done_again(self) -> None:
        issued = {"name": "mta-sts.contoso.com", "thumbprint": _FREE}
        bound = self.made(issued, **{"mta-sts.contoso.com": _FREE})
        assert not binding("contoso.com", bound, self.THERE, room=0).steps
        [step] = binding("contoso.com", self.made(issued, **{"mta-sts.contoso.com": None}), self.THERE, room=0).steps
        assert step.words[2:4] == ("ssl", "bind")
        assert _FREE in step.words

    def test_ones_own_certificate_stays_until_another_is_named(self) -> None:
        own = self.made(**{"mta-sts.contoso.com": _OWN})
        assert not binding("contoso.com", own, self.THERE, room=0).steps
        [step] = binding("contoso.com", own, self.THERE, thumbprint=_FREE, room=0).steps
        assert _FREE in step.words

    def test_dns_leads_last_to_a_certificate_that_is_there(self) -> None:
        issued = self.made({"name": "mta-sts.contoso.com", "thumbprint": _FREE}, **{"mta-sts.contoso.com": None})
        todo = binding("contoso.com", issued, HostDns(cname="old.example"), room=0)
        assert (todo.before, [record.type for record in todo.after]) == ((), ["CNAME"])

    def test_what_is_bound_is_not_called_done_while_dns_does_not_answer(self) -> None:
        bound = self.made(**{"mta-sts.contoso.com": _FREE})
        [problem] = binding("contoso.com", bound, HostDns(error="no answer in time"), room=0).problems
        assert "no answer in time" in problem

    def test_a_free_certificate_of_the_portal_has_another_name(self) -> None:
        """Its canonical name says what it is for; on Flex Consumption the answer has it one level deeper."""
        issued = {
            "name": "mta-sts.contoso.com-contoso-sts",
            "properties": {"canonicalName": "mta-sts.contoso.com", "thumbprint": _FREE},
        }
        assert self.made(issued).free_certificate("mta-sts.contoso.com") == _FREE

    def test_ones_own_certificate_must_be_for_the_host(self) -> None:
        own = {"name": "own", "hostNames": ["*.contoso.com", "mta-sts.fabrikam.com"], "thumbprint": _OWN}
        for domain, fits in {"contoso.com": True, "fabrikam.com": True, "a.contoso.com": False}.items():
            todo = binding(domain, self.made(own), HostDns(), thumbprint=_OWN, room=1)
            assert (not todo.problems) == fits

    def test_unbinding_leaves_a_certificate_that_is_not_the_free_one(self) -> None:
        gone = HostDns()
        own = unbinding("contoso.com", self.made(**{"mta-sts.contoso.com": _OWN}), gone, force=False)
        assert [step.words[2:4] for step in own.steps] == [("ssl", "unbind"), ("hostname", "delete")]
        issued = {"name": "mta-sts.contoso.com", "thumbprint": _FREE}
        free = unbinding("contoso.com", self.made(issued, **{"mta-sts.contoso.com": _FREE}), gone, force=False)
        assert [step.words[2:4] for step in free.steps] == [
            ("ssl", "unbind"),
            ("hostname", "delete"),
            ("ssl", "delete"),
        ]
        shared = {**issued, "hostNames": ["mta-sts.contoso.com", "mta-sts.fabrikam.com"]}
        other = unbinding("contoso.com", self.made(shared, **{"mta-sts.contoso.com": _FREE}), gone, force=False)
        assert [step.words[2:4] for step in other.steps] == [("ssl", "unbind"), ("hostname", "delete")]

    @pytest.mark.parametrize(
        ("dns", "says"),
        [
            (HostDns(cname=_APP_HOST), "still leads to"),
            (HostDns(announced=True), "announces a policy"),
            (HostDns(error="no answer in time"), "no answer in time"),
        ],
    )
    def test_unbinding_is_refused_while_senders_may_come(self, dns: HostDns, says: str) -> None:
        made = self.made(**{"mta-sts.contoso.com": None})
        [problem] = unbinding("contoso.com", made, dns, force=False).problems
        assert says in problem
        assert not unbinding("contoso.com", made, dns, force=True).problems

    def test_unbinding_goes_where_another_host_answers(self) -> None:
        made = self.made(**{"mta-sts.contoso.com": None})
        moved = HostDns(cname="other.azurewebsites.net", announced=True, proofs=("ABC123",))
        todo = unbinding("contoso.com", made, moved, force=False)
        assert not todo.problems
        assert [record.name for record in todo.obsolete] == ["asuid.mta-sts.contoso.com"]

    def test_an_app_without_host_names_may_have_null_for_them(self) -> None:
        site = {"defaultHostName": _APP_HOST, "customDomainVerificationId": "ABC123", "hostNameSslStates": None}
        assert not App.read("contoso-sts", "mta-sts", site).bound

    @pytest.mark.parametrize(
        "answer",
        [
            None,
            [],
            {"properties": {"defaultHostName": "x"}},
            {"defaultHostName": 1},
            {"defaultHostName": _APP_HOST, "customDomainVerificationId": "ABC123\n"},
        ],
    )
    def test_another_answer_of_az_is_an_error(self, answer: object) -> None:
        with pytest.raises(ValueError, match="what az answers lacks"):
            App.read("contoso-sts", "mta-sts", answer)


def test_with_a_delegation_zone_the_records_that_are_set_once_are_printed(
    bind: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLICY_DNS_ZONE", str(ZoneId(SUBSCRIPTION, "mta-sts", "sts.provider.example")))
    printed = bind("contoso.com").stdout
    for name in ("_mta-sts.contoso.com", "_smtp._tls.contoso.com"):
        shared = f"{name}.sts" if name.startswith("_mta") else "_smtp._tls.sts"
        assert f"# set once: {name}. 300 IN CNAME {shared}.provider.example.\n" in printed
