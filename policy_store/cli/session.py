"""Where the command works: the store that the options and the settings name, the person, and the time."""

import getpass
import json
import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from policy_store.changes.desk import Desk
from policy_store.cli.config import PLACE_SETTINGS, STORE_SETTINGS, StoresFile, is_address, store_settings
from policy_store.cli.errors import CommandError
from policy_store.cli.screen import manner
from policy_store.sender.limits import Limits
from policy_store.sender.lookup import Lookup
from policy_store.settings import Settings, SettingsError
from policy_store.tables.store import Store
from policy_store.zone_id import ZoneId

LOCAL_SETTINGS = Path("local.settings.json")


class NoStore(SettingsError):
    """Nothing names a store; the message says what can."""


@dataclass(frozen=True, slots=True)
class Place:
    """What belongs to a store in Azure, each empty where nobody said it."""

    app_host: str = ""
    app: str = ""
    resource_group: str = ""
    verification_id: str = ""
    dns_zone: str = ""
    reports_record: str = ""


@dataclass(frozen=True, slots=True)
class _Named:
    """The settings that count; what named the store, for people; and the store's own name, where a file gives one."""

    settings: dict[str, str]
    by: str
    name: str = ""


def open_store(store: str = "") -> Store:
    """The store that `--store` names, else the environment, else local.settings.json, else the file's default.

    `--store` with an address replaces the store's own settings and nothing else; a store that the file names replaces
    the app's host name and its like too. Makes no request. Raises SettingsError, CommandError.
    """
    named = _named(store)
    try:
        opened = Store.open(Settings.read(named.settings))
    except SettingsError as error:
        if named.name:
            message = _said_of(str(error), "address").replace("POLICY_DNS_ZONE", "dns-zone")
            raise CommandError(f"The store {named.name}: {message}.") from None
        if named.by == "--store":
            raise CommandError(f"{_said_of(str(error), '--store')}.") from None
        raise
    if named.name:
        opened = replace(opened, name=named.name)
    manner.store = opened.name
    if manner.verbose:
        manner.name_store(after=f", named by {named.by}")
    return opened


def read_settings(store: str = "") -> Settings:
    """The app settings, with the store that `--store` names. Raises SettingsError, CommandError."""
    return Settings.read(_named(store).settings)


def read_place(store: str = "") -> Place:
    """What belongs to the store that `--store` names. Raises CommandError, and SettingsError for a broken file."""
    named = _named(store, need=False)
    given = {name.upper(): value.strip() for name, value in named.settings.items()}
    return Place(**{field: given.get(setting, "") for field, setting in PLACE_SETTINGS.items()})


def open_desk(
    store: str = "", resolver: str = "", limits: Limits | None = None, *, allow_private: bool = False
) -> Desk:
    """The desk of whoever runs the command. Raises SettingsError, CommandError."""
    return Desk(open_store(store), operator(), now(), lookup(resolver, limits, allow_private=allow_private))


def lookup(resolver: str = "", limits: Limits | None = None, *, allow_private: bool = False) -> Lookup:
    """What asks DNS and hosts, through the DNS server of `--resolver`, within these limits. Raises CommandError."""
    try:
        return Lookup(resolver, limits, allow_private=allow_private)
    except ValueError as error:
        raise CommandError(f"{error}.") from error


def delegation_zone(store: str = "") -> str:
    """The name of the zone that customers delegate to; empty if there is none. Needs no store.

    Raises SettingsError, CommandError.
    """
    zone = read_place(store).dns_zone
    try:
        return ZoneId.parse(zone).name if zone else ""
    except ValueError as error:
        raise SettingsError(f"POLICY_DNS_ZONE: {error}") from error


def _named(store: str, *, need: bool = True) -> _Named:
    """The settings with the store that is meant. Raises CommandError and SettingsError, of which NoStore at `need`."""
    store = store.strip()
    environment, by = _environment()
    if store and is_address(store):
        return _Named(_without(environment, STORE_SETTINGS) | store_settings(store), "--store")
    if by and not store:
        return _Named(_understood(environment), by)
    file = StoresFile.read(environment)
    if name := store or file.default:
        others = _without(environment, (*STORE_SETTINGS, *PLACE_SETTINGS.values()))
        return _Named(others | file.find(name).settings, "--store" if store else str(file.path), name)
    if need:
        raise NoStore(
            "No store is named: give --store with an address or a name, or set POLICY_STORE or "
            f"POLICY_STORE__tableServiceUri. The names of stores are in {file.path}"
        )
    return _Named(environment, "")


def _environment() -> tuple[dict[str, str], str]:
    """The app settings and what names the store in them, empty for nothing: the environment comes first, and where it
    names a store, it is all.
    """
    if _names_store(os.environ) or not LOCAL_SETTINGS.is_file():
        return dict(os.environ), "the environment" if _names_store(os.environ) else ""
    try:
        local = json.loads(LOCAL_SETTINGS.read_text(encoding="utf-8-sig"))["Values"]
        values = {str(name): str(value) for name, value in local.items()}
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise SettingsError(f"{LOCAL_SETTINGS} has no object Values: copy local.settings.sample.json again") from error
    named = _names_store(values)
    return _without(values, os.environ) | dict(os.environ), str(LOCAL_SETTINGS.absolute()) if named else ""


def _names_store(settings: Mapping[str, str]) -> bool:
    stores = {name.upper() for name in STORE_SETTINGS}
    return any(name.upper() in stores and value.strip() for name, value in settings.items())


def _understood(settings: Mapping[str, str]) -> dict[str, str]:
    """The same, with the address of Azurite in POLICY_STORE read as `--store` reads it."""
    return {
        name: store_settings(value.strip()).get("POLICY_STORE", value) if name.upper() == "POLICY_STORE" else value
        for name, value in settings.items()
    }


def _without(settings: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """The settings without these, in any letter case, as Windows has them."""
    left_out = {name.upper() for name in names}
    return {name: value for name, value in settings.items() if name.upper() not in left_out}


def _said_of(message: str, name: str) -> str:
    """What is wrong with a setting, said of what was given in its place."""
    return message.replace("POLICY_STORE__tableServiceUri", name).replace("POLICY_STORE", name)


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
