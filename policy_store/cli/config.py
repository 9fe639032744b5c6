"""The stores that a file names, for `--store NAME`: each with its address and with what belongs to it in Azure.

The file is TOML, `mta-sts/config.toml` in the platform's place for configuration, or what POLICY_CONFIG names:

    default = "contoso"

    [stores.contoso]
    address = "https://contososts.table.core.windows.net"
    app-host = "contoso-sts.azurewebsites.net"
    app = "contoso-sts"
    resource-group = "mta-sts"
"""

import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from policy_store.cli.errors import CommandError
from policy_store.names import quoted

FILE_SETTING = "POLICY_CONFIG"

STORE_SETTINGS = ("POLICY_STORE", "POLICY_STORE__tableServiceUri", "POLICY_STORE__clientId")
"""What names a store in the app settings."""

# Not a secret: every Azurite has this account (https://learn.microsoft.com/azure/storage/common/storage-use-azurite).
_AZURITE = re.compile(r"http://[^/?#@]+/devstoreaccount1/?", re.IGNORECASE)
_AZURITE_ACCOUNT = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey="
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


def is_address(text: str) -> bool:
    """Whether `text` is meant as an address or as a connection string: a name has neither of their characters."""
    return "://" in text or "=" in text


def store_settings(address: str) -> dict[str, str]:
    """The app settings that name the store with this address: that of a table service, of Azurite, or a connection
    string.
    """
    if _AZURITE.fullmatch(address):
        return {"POLICY_STORE": f"{_AZURITE_ACCOUNT};TableEndpoint={address.rstrip('/')};"}
    return {"POLICY_STORE__tableServiceUri" if "://" in address and "=" not in address else "POLICY_STORE": address}


class NamedStore(BaseModel):
    """A store that the file names."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=lambda name: name.replace("_", "-"))

    address: str = Field(min_length=1)
    app_host: str = ""
    app: str = ""
    resource_group: str = ""
    verification_id: str = ""
    dns_zone: str = ""
    reports_record: str = ""

    @model_validator(mode="before")
    @classmethod
    def _any_dash(cls, given: object) -> object:
        if isinstance(given, dict):
            return {str(name).strip().lower().replace("_", "-"): value for name, value in given.items()}
        return given

    @field_validator("address")
    @classmethod
    def _known(cls, address: str) -> str:
        if not is_address(address := address.strip()):
            raise ValueError("it must be the address of a table service, or a connection string")
        return address

    @property
    def account(self) -> str:
        """The address, or of a connection string, which is a secret, the account or the address in it."""
        if "=" not in self.address:
            return self.address
        parts = dict(part.strip().partition("=")[::2] for part in self.address.split(";"))
        lower = {name.lower(): value for name, value in parts.items()}
        return lower.get("tableendpoint") or lower.get("accountname") or "the Azurite of this machine"

    @property
    def settings(self) -> dict[str, str]:
        """What it comes to as settings; what it leaves out is empty, so that no other store's is taken in its place."""
        places = {setting: getattr(self, name) for name, setting in PLACE_SETTINGS.items()}
        return {**places, **store_settings(self.address)}


PLACE_SETTINGS = {
    "app_host": "POLICY_APP_HOST",
    "app": "POLICY_APP",
    "resource_group": "POLICY_RESOURCE_GROUP",
    "verification_id": "POLICY_VERIFICATION_ID",
    "dns_zone": "POLICY_DNS_ZONE",
    "reports_record": "POLICY_REPORTS_RECORD",
}
"""What belongs to a store beside its address, and the setting that says it where no file does."""


class StoresFile(BaseModel):
    """The whole file: the stores by name, and which of them is meant where nothing else names one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    default: str = ""
    stores: dict[str, NamedStore] = Field(default_factory=dict)
    path: Path = Path()

    @model_validator(mode="after")
    def _names(self) -> "StoresFile":
        for name in self.stores:
            if not name or is_address(name):
                raise ValueError(f"{quoted(name)} is not a name for a store: leave out :// and =")
        if self.default and self.default not in self.stores:
            raise ValueError(f"default is {quoted(self.default)}, and there is no [stores.{self.default}]")
        return self

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "StoresFile":
        """The file that POLICY_CONFIG names, or that in the platform's place; empty if that one is not there.

        Raises CommandError where it cannot be read, with the line or the key.
        """
        named = next((value for name, value in environment.items() if name.upper() == FILE_SETTING), "").strip()
        path = Path(named).expanduser() if named else _usual_path()
        try:
            text = path.read_bytes().decode("utf-8-sig")
            return cls.model_validate({**tomllib.loads(text), "path": path})
        except FileNotFoundError:
            if named:
                raise CommandError(f"{path} is not there: {FILE_SETTING} names it.") from None
            return cls(path=path)
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
        except ValidationError as error:
            reasons = "; ".join(_reason(problem) for problem in error.errors(include_url=False, include_input=False))
            raise CommandError(f"{path}: {reasons}.") from None
        except ValueError as error:  # not TOML, or not UTF-8
            raise CommandError(f"{path} is not TOML in UTF-8: {error}.") from None

    def find(self, name: str) -> NamedStore:
        """The store of this name. Raises CommandError that says which there are."""
        if name in self.stores:
            return self.stores[name]
        near = get_close_matches(name, self.stores, 1)
        if near:
            known = f"did you mean {near[0]}?"
        elif self.stores:
            known = f"that file names {', '.join(sorted(self.stores))}."
        else:
            known = "give an address or a connection string, or name the store in that file."
        raise CommandError(f"--store {quoted(name)} is not named in {self.path}: {known}")


def _usual_path() -> Path:
    from platformdirs import user_config_path

    return user_config_path("mta-sts", appauthor=False, roaming=True) / "config.toml"


def _reason(problem: Any) -> str:
    """One thing that is wrong in the file, without its value, which may be a secret."""
    place = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        known = StoresFile if len(problem["loc"]) == 1 else NamedStore
        names = (field.alias or name for name, field in known.model_fields.items() if name != "path")
        return f"{place} is not a known key: there are {', '.join(names)}"
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{place}: {message}" if place else message
