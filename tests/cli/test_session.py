"""Where the command works: the store, the person and the time, by options, environment and local settings."""

import json
import os
import pwd
import socket
from pathlib import Path

import pytest

from policy_store.cli import session

_ACCOUNT = "https://contoso.table.core.windows.net"


def test_a_user_without_a_name_is_recorded_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in many build agents and containers, where nobody gave the user a passwd entry."""

    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert session.operator() == f"uid {os.getuid()}@{socket.gethostname()}"


class TestWhichStore:
    def test_the_option_comes_before_the_environment_and_that_before_the_file(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.chdir(tmp_path)
        local = {"Values": {"POLICY_STORE__tableServiceUri": _ACCOUNT.replace("contoso", "local")}}
        (tmp_path / "local.settings.json").write_text(json.dumps(local))
        assert session.open_store().name == "local"
        monkeypatch.setenv("POLICY_STORE__tableServiceUri", _ACCOUNT.replace("contoso", "environment"))
        assert session.open_store().name == "environment"
        assert session.open_store(_ACCOUNT).name == "contoso"

    def test_the_option_replaces_the_stores_name_and_nothing_else(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """How long the app serves a copy decides from when DNS may show an id."""
        monkeypatch.setenv("POLICY_FRESH_SECONDS", "3600")
        monkeypatch.setenv("POLICY_STORE", "UseDevelopmentStorage=true")
        store = session.open_store(_ACCOUNT)
        assert (store.name, store.fresh_seconds) == ("contoso", 3600)

    def test_the_option_keeps_the_settings_of_the_file(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.chdir(tmp_path)
        local = {"Values": {"POLICY_STORE": "UseDevelopmentStorage=true", "POLICY_FRESH_SECONDS": "3600"}}
        (tmp_path / "local.settings.json").write_text(json.dumps(local))
        assert session.open_store(_ACCOUNT).fresh_seconds == 3600
