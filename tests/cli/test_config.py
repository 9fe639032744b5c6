"""Which store it is: by name from the person's own file, by address, by the environment; and that it is said."""

import json
import os
from pathlib import Path

import pytest

from dev.azurite import Azurite
from policy_store.cli import session
from policy_store.cli.config import StoresFile, store_settings
from policy_store.cli.errors import CommandError
from policy_store.settings import SettingsError
from policy_store.tables.store import Store
from tests.cli.conftest import Run

_FILE = """
default = "contoso"

[stores.contoso]
address = "https://contososts.table.core.windows.net"
app = "contoso-sts"
resource-group = "mta-sts"
app-host = "contoso-sts.azurewebsites.net"
verification-id = "ABC"
dns-zone = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/dns/providers/Microsoft.Network/\
dnsZones/sts.provider.example"

[stores.fabrikam]
address = "DefaultEndpointsProtocol=https;AccountName=fabrikamsts;AccountKey=c2VjcmV0;EndpointSuffix=core.windows.net"

[stores.woodgrove]
address = "http://127.0.0.1:10002/devstoreaccount1"
App_Host = "woodgrove.example"
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "stores of mine.toml"
    path.write_text(_FILE, encoding="utf-8")
    monkeypatch.setenv("POLICY_CONFIG", str(path))
    return path


@pytest.mark.usefixtures("file")
class TestNamed:
    def test_a_name_is_a_store_with_all_that_belongs_to_it(self) -> None:
        store = session.open_store("contoso")
        assert store.name == "contoso"
        assert session.read_settings("contoso").table_service_uri == "https://contososts.table.core.windows.net"
        assert store.zone == session.delegation_zone("contoso") == "sts.provider.example"
        place = session.read_place("contoso")
        assert (place.app_host, place.app) == ("contoso-sts.azurewebsites.net", "contoso-sts")
        assert (place.resource_group, place.verification_id) == ("mta-sts", "ABC")

    def test_a_connection_string_and_azurites_address_are_stores_too(self) -> None:
        assert "AccountName=fabrikamsts" in (session.read_settings("fabrikam").connection_string or "")
        address = "TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;"
        assert address in (session.read_settings("woodgrove").connection_string or "")
        assert [session.open_store(name).name for name in ("fabrikam", "woodgrove")] == ["fabrikam", "woodgrove"]
        assert session.read_place("woodgrove").app_host == "woodgrove.example"

    @pytest.mark.parametrize("name", ["POLICY_APP_HOST", "POLICY_APP", "policy_dns_zone", "POLICY_STORE__CLIENTID"])
    def test_what_it_leaves_out_is_not_taken_from_another_store(
        self, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.setenv(name, "other.example")
        assert session.read_place("fabrikam") == session.Place()
        assert session.read_settings("fabrikam").client_id is None

    def test_all_other_settings_stay(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("POLICY_FRESH_SECONDS", "3600")
        assert session.open_store("fabrikam").fresh_seconds == 3600

    def test_the_default_counts_where_nothing_else_names_a_store(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert session.open_store().name == "contoso"
        local = {"Values": {"POLICY_STORE__tableServiceUri": "https://local.table.core.windows.net"}}
        (tmp_path / "local.settings.json").write_text(json.dumps(local))
        assert session.open_store().name == "local"
        monkeypatch.setenv("POLICY_STORE__tableServiceUri", "https://environment.table.core.windows.net")
        assert session.open_store().name == "environment"
        assert session.open_store("fabrikam").name == "fabrikam"

    def test_the_app_of_an_address_is_that_of_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("POLICY_APP_HOST", "app.example")
        assert session.read_place("https://contososts.table.core.windows.net").app_host == "app.example"

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("contsoo", "--store 'contsoo' is not named in {file}: did you mean contoso?"),
            ("tailspin", "--store 'tailspin' is not named in {file}: that file names contoso, fabrikam, woodgrove."),
        ],
    )
    def test_a_name_that_is_not_there_says_which_are(self, file: Path, name: str, said: str) -> None:
        with pytest.raises(CommandError) as caught:
            session.open_store(name)
        assert str(caught.value) == said.format(file=file)

    def test_the_list_shows_no_secret(self, run: Run) -> None:
        said = run("stores")
        assert said.exit_code == 0
        accounts = [item["account"] for item in json.loads(run("stores", "--json").stdout)]
        assert accounts[:2] == ["https://contososts.table.core.windows.net", "fabrikamsts"]
        assert "c2VjcmV0" not in said.stdout + run("stores", "--json").stdout
        assert [item["default"] for item in json.loads(run("stores", "--json").stdout)] == [True, False, False]

    def test_bind_takes_the_app_from_the_store_and_says_what_is_missing(self, run: Run) -> None:
        done = run("bind", "contoso.com", "--store", "fabrikam")
        assert (done.exit_code, done.stderr) == (
            2,
            "Name the app with --app and --resource-group (-g), or write both into the file of your stores "
            "('mta-sts stores' says where it is).\n",
        )
        done = run("bind", "contoso.com", "--store", "contoso")  # and on to az, which no test has
        assert (done.exit_code, "There is no Azure CLI" in done.stderr) == (3, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[stores.a", " is not TOML in UTF-8: "),
        ("[stores.a]", ": stores.a.address: Field required."),
        ("[stores.a]\naddress = 7", ": stores.a.address: Input should be a valid string."),
        ("[stores.a]\naddress = 'contoso'", ": stores.a.address: it must be the address of a table service, or a "),
        (
            "[stores.a]\naddress = 'https://a.example'\nhost = 'b'",
            ": stores.a.host is not a known key: there are address, ",
        ),
        ("[store.a]\naddress = 'https://a.example'", ": store is not a known key: there are default, stores."),
        ("default = 'b'\n[stores.a]\naddress = 'https://a.example'", ": default is 'b', and there is no [stores.b]."),
        ("[stores.'https://a']\naddress = 'https://a.example'", " is not a name for a store: "),
    ],
)
def test_a_file_that_is_wrong_is_one_sentence_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    monkeypatch.setenv("policy_config", str(path))
    with pytest.raises(CommandError) as caught:
        session.open_store("a")
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)


def test_a_file_as_windows_editors_save_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xef\xbb\xbf" + _FILE.replace("\n", "\r\n").encode())
    assert sorted(StoresFile.read({"POLICY_CONFIG": str(path)}).stores) == ["contoso", "fabrikam", "woodgrove"]
    path.write_bytes(_FILE.encode("utf-16"))
    with pytest.raises(CommandError, match="is not TOML in UTF-8"):
        StoresFile.read({"POLICY_CONFIG": str(path)})


def test_a_file_that_is_named_has_to_be_there_and_the_usual_one_has_not(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="is not there: POLICY_CONFIG names it"):
        StoresFile.read({"POLICY_CONFIG": str(tmp_path / "none.toml")})
    with pytest.raises(CommandError, match="cannot be read: Is a directory"):
        StoresFile.read({"POLICY_CONFIG": str(tmp_path)})
    usual = StoresFile.read({})
    assert (usual.stores, usual.path) == ({}, Path(os.environ["HOME"]) / ".config/mta-sts/config.toml")


class TestAddress:
    def test_the_address_of_azurite_is_taken_as_it_is_printed(self, azurite: Azurite, store: Store, run: Run) -> None:
        del store  # its tables are there
        for address in (azurite.url, f"{azurite.url}/", azurite.url.replace("127.0.0.1", "localhost")):
            done = run("list", "--store", address)
            assert (done.exit_code, done.stderr) == (0, "")

    def test_it_is_taken_from_the_setting_too(self, azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("POLICY_STORE", azurite.url)
        assert session.read_settings().connection_string == azurite.connection_string

    def test_what_the_command_writes_for_it_is_what_azurite_itself_has(self, azurite: Azurite) -> None:
        assert store_settings(azurite.url) == {"POLICY_STORE": azurite.connection_string}

    @pytest.mark.parametrize("case", [str.upper, str.lower, str])
    def test_settings_are_found_in_any_letter_case(
        self, monkeypatch: pytest.MonkeyPatch, case: type[str], tmp_path: Path
    ) -> None:
        """Windows keeps its environment in capitals."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "local.settings.json").write_text('{"Values": {"POLICY_STORE": "nonsense"}}')
        monkeypatch.setenv(case("POLICY_STORE__tableServiceUri"), "https://contososts.table.core.windows.net")
        monkeypatch.setenv(case("POLICY_STORE__clientId"), "an-id")
        monkeypatch.setenv(case("POLICY_FRESH_SECONDS"), "3600")
        store = session.open_store()
        assert (store.name, store.fresh_seconds) == ("contososts", 3600)
        assert session.read_settings().client_id == "an-id"

    def test_the_environment_comes_before_the_file_in_any_letter_case(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.chdir(tmp_path)
        values = {"POLICY_STORE": "UseDevelopmentStorage=true", "POLICY_FRESH_SECONDS": "30"}
        (tmp_path / "local.settings.json").write_text(json.dumps({"Values": values}))
        monkeypatch.setenv("policy_fresh_seconds", "3600")
        assert session.open_store().fresh_seconds == 3600

    @pytest.mark.parametrize(
        ("address", "said"),
        [
            ("http://contososts.table.core.windows.net", "--store: it must be the address of a table service"),
            ("AccountName=contososts", "--store is not a connection string"),
        ],
    )
    def test_a_wrong_one_is_said_of_the_option(self, address: str, said: str) -> None:
        with pytest.raises(CommandError) as caught:
            session.open_store(address)
        assert said in str(caught.value)
        assert "POLICY_STORE" not in str(caught.value)

    def test_where_nothing_names_a_store_it_is_said_what_can(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("POLICY_STORE", raising=False)
        with pytest.raises(SettingsError, match=r"^No store is named: give --store .*config\.toml$"):
            session.open_store()


class TestSaid:
    """Each change and each error names the store."""

    @pytest.mark.parametrize(
        "words",
        [
            ("add", "contoso.com", "--mx", "mx.contoso.com"),
            ("add", "contoso.com", "--mx", "mx.contoso.com", "--json"),
            ("add", "contoso.com", "--mx", "mx.contoso.com", "--dry-run"),
            ("retire", "nobody.example"),
            ("audit",),
            ("show", "nobody.example"),
        ],
    )
    def test_once_and_to_people(self, run: Run, store: Store, words: tuple[str, ...]) -> None:
        done = run(*words)
        assert done.stderr.count(f"Store: {store.name}") == 1
        assert "Store:" not in done.stdout

    def test_by_its_name_in_the_file(self, run: Run, azurite: Azurite, file: Path) -> None:
        file.write_text(f'[stores.mine]\naddress = "{azurite.url}"')
        done = run("add", "contoso.com", "--mx", "mx.contoso.com", "--store", "mine")
        assert (done.exit_code, done.stderr.splitlines()[0]) == (0, "Store: mine")

    def test_a_store_that_cannot_be_reached_is_named(self, run: Run) -> None:
        done = run("list", "--store", "http://127.0.0.1:9/devstoreaccount1")
        assert done.exit_code == 3
        assert done.stderr.startswith("The store cannot be reached: ")
        assert done.stderr.endswith(" Store: 127.0.0.1:9\n")
