"""The app settings: one frozen model, and one clear sentence for each mistake."""

import pytest
from pydantic import ValidationError

from policy_store.settings import Settings, SettingsError, takes_reports
from policy_store.tables.connection import open_table

_SECRET = "c2VjcmV0c2VjcmV0"
_CONNECTION = f"DefaultEndpointsProtocol=https;AccountName=contoso;AccountKey={_SECRET};"
_URI = "https://contoso.table.core.windows.net"


class TestRead:
    def test_connection_string(self) -> None:
        """A connection string alone is enough; a copy is fresh for a minute, and the Host header counts."""
        settings = Settings.read({"POLICY_STORE": _CONNECTION})
        assert settings.connection_string == _CONNECTION
        assert settings.table_service_uri is None
        assert settings.fresh_seconds == 60
        assert settings.host_header == "Host"

    def test_managed_identity(self) -> None:
        """The address of a table service selects a managed identity, with a client id a user-assigned one."""
        settings = Settings.read({"POLICY_STORE__tableServiceUri": f"{_URI}/", "POLICY_STORE__clientId": "an-id"})
        assert settings.connection_string is None
        assert settings.table_service_uri == _URI
        assert settings.client_id == "an-id"

    @pytest.mark.parametrize(
        ("value", "on"),
        [("on", True), (" On ", True), ("true", True), ("1", True), ("off", False), ("0", False), ("", False)],
    )
    def test_reports_are_on_or_off(self, value: str, on: bool) -> None:
        """What the app asks at import and the settings agree."""
        environment = {"POLICY_STORE": _CONNECTION, "POLICY_TLSRPT": value}
        assert Settings.read(environment).tlsrpt is on
        assert takes_reports(environment) is on

    def test_reports_that_are_neither_on_nor_off_are_one_clear_error(self) -> None:
        environment = {"POLICY_STORE": _CONNECTION, "POLICY_TLSRPT": "maybe"}
        assert not takes_reports(environment)
        with pytest.raises(SettingsError, match="POLICY_TLSRPT"):
            Settings.read(environment)

    def test_the_rest(self) -> None:
        """Seconds may have a fraction, and a proxy's header may take the place of Host."""
        settings = Settings.read(
            {"POLICY_STORE": _CONNECTION, "POLICY_FRESH_SECONDS": "0.5", "POLICY_HOST_HEADER": "X-Forwarded-Host"}
        )
        assert settings.fresh_seconds == 0.5
        assert settings.host_header == "X-Forwarded-Host"

    def test_empty_is_absent(self) -> None:
        """An empty setting counts as absent, as the portal leaves it."""
        settings = Settings.read(
            {"POLICY_STORE": _CONNECTION, "POLICY_STORE__tableServiceUri": "", "POLICY_FRESH_SECONDS": " "}
        )
        assert settings == Settings.read({"POLICY_STORE": _CONNECTION})

    def test_other_variables_are_ignored(self) -> None:
        """The environment holds much else."""
        assert Settings.read({"POLICY_STORE": _CONNECTION, "PATH": "/bin"}).connection_string == _CONNECTION

    def test_names_count_in_any_letter_case(self) -> None:
        """Windows keeps the names of its environment in capitals."""
        environment = {"POLICY_STORE__TABLESERVICEURI": _URI, "POLICY_STORE__CLIENTID": "an-id"}
        settings = Settings.read(environment)
        assert (settings.table_service_uri, settings.client_id) == (_URI, "an-id")

    def test_white_space_around_a_value_does_not_count(self) -> None:
        """It comes with copying."""
        assert Settings.read({"POLICY_STORE__tableServiceUri": f" {_URI} \n"}).table_service_uri == _URI

    @pytest.mark.parametrize(
        "uri", ["https://127.0.0.1:10002/devstoreaccount1", "https://azurite:10002/devstoreaccount1"]
    )
    def test_a_stand_in_has_its_account_in_the_path(self, uri: str) -> None:
        """Azurite has no names of its own for accounts."""
        assert Settings.read({"POLICY_STORE__tableServiceUri": uri}).table_service_uri == uri

    def test_reads_the_process_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without an argument the process's own environment counts, as it is at the call."""
        monkeypatch.setenv("POLICY_STORE", _CONNECTION)
        assert Settings.read().connection_string == _CONNECTION

    def test_is_frozen(self) -> None:
        """Settings cannot be changed once read."""
        settings = Settings.read({"POLICY_STORE": _CONNECTION})
        with pytest.raises(ValidationError):
            settings.fresh_seconds = 0

    @pytest.mark.parametrize(
        ("environment", "sentence"),
        [
            ({}, "POLICY_STORE is missing: set it to a connection string, or POLICY_STORE__tableServiceUri to"),
            ({"POLICY_STORE": "  "}, "POLICY_STORE is missing: "),
            (
                {"POLICY_STORE": _CONNECTION, "POLICY_STORE__tableServiceUri": _URI},
                "POLICY_STORE and POLICY_STORE__tableServiceUri are both set: remove one of them",
            ),
            (
                {"POLICY_STORE": _CONNECTION, "POLICY_STORE__clientId": "an-id"},
                "POLICY_STORE__clientId needs POLICY_STORE__tableServiceUri: set that or remove this",
            ),
            ({"POLICY_STORE__clientId": "an-id"}, "POLICY_STORE is missing: "),
            *(
                ({"POLICY_STORE__tableServiceUri": uri}, "POLICY_STORE__tableServiceUri: it must be the address of a ")
                for uri in (
                    "contoso",
                    "contoso.table.core.windows.net",
                    "http://contoso.table.core.windows.net",
                    "https://",
                    f"{_URI}?sv=2024&sig={_SECRET}",
                )
            ),
            ({"POLICY_STORE__tableServiceUri": f"https://[{_SECRET}"}, "POLICY_STORE__tableServiceUri: "),
            *(
                ({"POLICY_STORE__tableServiceUri": uri}, f"POLICY_STORE__tableServiceUri: {sentence}")
                for uri, sentence in (
                    ("https://contoso.blob.core.windows.net", "it is the address of another service (blob)"),
                    ("https://contoso.documents.azure.com", "it is the address of another service (documents)"),
                    (f"{_URI}/policies", "it has a path"),
                    (f"https://user:{_SECRET}@contoso.table.core.windows.net", "it must be the address of a "),
                    (f"{_URI}\u200b", "it contains the character U+200B"),
                    (f"\ufeff{_URI}", "it contains the character U+FEFF"),
                    (
                        "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/s)",
                        "the reference to Key Vault",
                    ),
                )
            ),
            *(
                ({"POLICY_STORE": text}, f"POLICY_STORE: {sentence}")
                for text, sentence in (
                    (
                        f"TableEndpoint={_URI};SharedAccessSignature=sv=1&sig={_SECRET}",
                        "it contains a shared access signa",
                    ),
                    (f"AccountName=a;sharedaccesssignature={_SECRET}", "it contains a shared access signature"),
                    (f"{_CONNECTION}TableEndpoint={_URI}/policies", "TableEndpoint: it has a path"),
                    (f"{_CONNECTION}TableEndpoint=https://a.blob.core.windows.net", "TableEndpoint: it is the address"),
                    (f"{_CONNECTION}\u200b", "it contains the character U+200B"),
                    ("@Microsoft.KeyVault(VaultName=v;SecretName=s)", "the reference to Key Vault was not resolved"),
                )
            ),
            (
                {"POLICY_STORE": _CONNECTION, "POLICY_HOST_HEADER": "X-Host\u200b"},
                "POLICY_HOST_HEADER: it contains the",
            ),
            *(
                ({"POLICY_STORE": _CONNECTION, "POLICY_FRESH_SECONDS": seconds}, "POLICY_FRESH_SECONDS: ")
                for seconds in ("a minute", "60s", "-1", "86401", "nan", "inf", "1,5")
            ),
            *(
                ({"POLICY_STORE": _CONNECTION, "POLICY_HOST_HEADER": header}, "POLICY_HOST_HEADER: ")
                for header in ("X Forwarded Host", "X-Forwarded-Host:", "X-Host\nY")
            ),
        ],
    )
    def test_mistakes(self, environment: dict[str, str], sentence: str) -> None:
        """A mistake is one sentence on one line that opens with the setting's name and holds no secret."""
        with pytest.raises(SettingsError) as caught:
            Settings.read(environment)
        message = str(caught.value)
        assert message.startswith(sentence)
        assert message.splitlines() == [message]
        assert _SECRET not in message

    def test_every_mistake_at_once(self) -> None:
        """Two wrong settings are both named."""
        with pytest.raises(SettingsError, match=r"POLICY_FRESH_SECONDS: .*; POLICY_HOST_HEADER: "):
            Settings.read({"POLICY_STORE": _CONNECTION, "POLICY_FRESH_SECONDS": "x", "POLICY_HOST_HEADER": ":"})


class TestOpenTable:
    @pytest.mark.parametrize(
        "text",
        [
            _SECRET,
            f"AccountKey={_SECRET}",
            "AccountName=contoso",
            "AccountName=contoso;AccountKey=",
            f"TableEndpoint={_URI};SharedAccessSignature=",
            f"https://contoso.table.core.windows.net/?sig={_SECRET}",
            "UseDevelopmentStorage",
        ],
    )
    def test_a_broken_connection_string(self, text: str) -> None:
        """What is no connection string is a SettingsError that says where to copy one, without the secret."""
        with pytest.raises(SettingsError, match=r"^POLICY_STORE is not a connection string: copy it from") as caught:
            open_table(Settings.read({"POLICY_STORE": text}))
        assert _SECRET not in str(caught.value)

    def test_development_storage(self) -> None:
        """UseDevelopmentStorage=true means Azurite on its usual port."""
        with open_table(Settings.read({"POLICY_STORE": "UseDevelopmentStorage=true"})) as client:
            assert client.url == "http://127.0.0.1:10002/devstoreaccount1"
