"""Where the command works: the store that the options and the settings name, the person, and the time."""

import getpass
import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

from policy_store.changes.desk import Desk
from policy_store.cli.errors import CommandError
from policy_store.sender.lookup import DNS_SECONDS, Lookup
from policy_store.settings import Settings, SettingsError
from policy_store.tables.store import Store
from policy_store.zone_id import ZoneId

LOCAL_SETTINGS = Path("local.settings.json")

_STORE_NAMES = ("POLICY_STORE", "POLICY_STORE__TABLESERVICEURI", "POLICY_STORE__CLIENTID")


def open_store(store: str = "") -> Store:
    """The store that `--store` names, else that of the app settings in the environment, else in local.settings.json.

    `--store` replaces the store's name and nothing else. Makes no request. Raises SettingsError.
    """
    return Store.open(read_settings(store))


def read_settings(store: str = "") -> Settings:
    """The app settings, with the store that `--store` names. Raises SettingsError."""
    environment = _environment()
    if store:
        environment = {name: value for name, value in environment.items() if name.upper() not in _STORE_NAMES}
        environment["POLICY_STORE__tableServiceUri" if store.startswith("https://") else "POLICY_STORE"] = store
    return Settings.read(environment)


def open_desk(store: str = "", resolver: str = "", *, allow_private: bool = False) -> Desk:
    """The desk of whoever runs the command. Raises SettingsError, CommandError."""
    return Desk(open_store(store), operator(), now(), lookup(resolver, allow_private=allow_private))


def lookup(resolver: str = "", seconds: float = DNS_SECONDS, *, allow_private: bool = False) -> Lookup:
    """What asks DNS and hosts, through the DNS server of `--resolver`, with this time limit. Raises CommandError."""
    try:
        return Lookup(resolver, seconds, allow_private=allow_private)
    except ValueError as error:
        raise CommandError(f"{error}.") from error


def delegation_zone() -> str:
    """The name of the zone that customers delegate to, by the app settings; empty where there is none. Needs no store.

    Raises SettingsError.
    """
    values = {name.upper(): value for name, value in _environment().items()}
    try:
        return ZoneId.parse(zone).name if (zone := values.get("POLICY_DNS_ZONE", "").strip()) else ""
    except ValueError as error:
        raise SettingsError(f"POLICY_DNS_ZONE: {error}") from error


def _environment() -> dict[str, str]:
    """The app settings of the environment, then those of local.settings.json; if the environment names a store, the
    file is not read.
    """
    if any(name.upper() in _STORE_NAMES for name in os.environ) or not LOCAL_SETTINGS.is_file():
        return dict(os.environ)
    try:
        values = json.loads(LOCAL_SETTINGS.read_text(encoding="utf-8-sig"))["Values"]
        return {str(name): str(value) for name, value in values.items()} | dict(os.environ)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise SettingsError(f"{LOCAL_SETTINGS} has no object Values: copy local.settings.sample.json anew") from error


def now() -> datetime:
    """The time that every command uses."""
    return datetime.now(UTC)


def operator() -> str:
    """The person that a revision records: the user at this machine, by number if there is no name."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # no passwd entry, as for many build agents and containers
        user = f"uid {os.getuid()}" if hasattr(os, "getuid") else "somebody"
    return f"{user}@{socket.gethostname()}"
