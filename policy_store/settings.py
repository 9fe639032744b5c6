"""The app settings, read from the environment into one frozen model.

An identity-based connection is named as Azure Functions names one: `<CONNECTION>__tableServiceUri` and `__clientId`.
Names are found in any letter case, since Windows keeps its environment in capitals.
"""

import os
import re
from collections.abc import Mapping
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails


class SettingsError(ValueError):
    """The app settings are missing, wrong or contradict each other; the message names them and the remedy."""


_OTHER_SERVICES = {"blob", "queue", "file", "dfs", "web", "vault", "documents", "servicebus", "portal", "scm"}
_KEY_VAULT = "@microsoft.keyvault("


def _checked(text: str) -> str:
    """A value without white space around it. Raises ValueError for what no address and no key has in it."""
    text = text.strip()
    if text.lower().startswith(_KEY_VAULT):
        raise ValueError(
            "the reference to Key Vault was not resolved: give the app's identity the right to read the secret, "
            "and look at the reference in the portal's list of settings"
        )
    if odd := next((character for character in text if not " " <= character <= "~"), None):
        raise ValueError(f"it contains the character U+{ord(odd):04X}, which is not ASCII: type it again")
    return text


def _check_address(address: str, schemes: tuple[str, ...]) -> None:
    """Raise ValueError unless `address` is that of a table service, or of a stand-in on an address of this machine."""
    parts = urlsplit(address)
    if (
        parts.scheme.lower() not in schemes
        or not parts.hostname
        or parts.query
        or parts.fragment
        or "@" in parts.netloc
    ):
        raise ValueError("it must be the address of a table service, as https://ACCOUNT.table.core.windows.net")
    labels = parts.hostname.lower().split(".")
    if "table" not in labels and (other := _OTHER_SERVICES.intersection(labels)):
        raise ValueError(
            f"it is the address of another service ({min(other)}): "
            "the table service has one as https://ACCOUNT.table.core.windows.net"
        )
    # Azurite has its account in the path. A stand-in has no name with a dot in Azure's manner.
    stand_in = labels[-1].isdigit() or len(labels) == 1 or ":" in parts.hostname
    if parts.path.strip("/") and (not stand_in or parts.path.strip("/").count("/")):
        raise ValueError("it has a path: leave out what follows the host name, the app names its tables itself")


def _header(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9-]+", name):
        raise ValueError("it must be the name of a header, as X-Forwarded-Host")
    return name


def _service_uri(uri: str) -> str:
    uri = _checked(uri)
    _check_address(uri, ("https",))
    return uri.rstrip("/")


def _connection_string(text: str) -> str:
    text = _checked(text)
    parts = {
        name.strip().lower(): value.strip()
        for name, divider, value in (part.partition("=") for part in text.split(";"))
        if divider
    }
    if parts.get("sharedaccesssignature"):
        raise ValueError(
            "it contains a shared access signature, which would be written to logs: set POLICY_STORE__tableServiceUri "
            "for the app's identity, or use a connection string with an account key"
        )
    if endpoint := parts.get("tableendpoint"):
        try:
            _check_address(endpoint, ("http", "https"))
        except ValueError as error:
            raise ValueError(f"TableEndpoint: {error}") from None
    return text


class Settings(BaseModel):
    """How the app reaches its tables and for how long it trusts a copy.

    Exactly one of `connection_string` and `table_service_uri` is set; the latter selects a managed identity, the
    user-assigned one with `client_id` where that is set.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    connection_string: Annotated[
        Annotated[str, AfterValidator(_connection_string)] | None, Field(alias="POLICY_STORE")
    ] = None
    table_service_uri: Annotated[
        Annotated[str, AfterValidator(_service_uri)] | None, Field(alias="POLICY_STORE__tableServiceUri")
    ] = None
    client_id: Annotated[Annotated[str, AfterValidator(_checked)] | None, Field(alias="POLICY_STORE__clientId")] = None
    fresh_seconds: Annotated[
        float, BeforeValidator(_checked), Field(alias="POLICY_FRESH_SECONDS", ge=0, le=86400, allow_inf_nan=False)
    ] = 60
    host_header: Annotated[
        Annotated[str, AfterValidator(_checked), AfterValidator(_header)], Field(alias="POLICY_HOST_HEADER")
    ] = "Host"
    # Read by what publishes ids, not here: a slip in these must not stop a policy from being served.
    dns_zone: Annotated[str, Field(alias="POLICY_DNS_ZONE")] = ""
    reports_record: Annotated[str, Field(alias="POLICY_REPORTS_RECORD")] = ""

    tlsrpt: Annotated[bool, BeforeValidator(str.strip), Field(alias="POLICY_TLSRPT")] = False

    @model_validator(mode="after")
    def _one_store(self) -> Self:
        if self.connection_string and self.table_service_uri:
            raise ValueError("POLICY_STORE and POLICY_STORE__tableServiceUri are both set: remove one of them")
        if not self.connection_string and not self.table_service_uri:
            raise ValueError(
                "POLICY_STORE is missing: set it to a connection string, or POLICY_STORE__tableServiceUri to the "
                "address of the table service for a managed identity"
            )
        if self.client_id and not self.table_service_uri:
            raise ValueError("POLICY_STORE__clientId needs POLICY_STORE__tableServiceUri: set that or remove this")
        return self

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """The settings that `environment` holds; an empty setting counts as absent. Raises SettingsError."""
        given = {name: value for name, value in environment.items() if value.strip()}
        any_case = {name.lower(): value for name, value in given.items()}
        names = [str(field.alias) for field in cls.model_fields.values()]
        found = {name: given.get(name, any_case.get(name.lower())) for name in names}
        try:
            return cls.model_validate({name: value for name, value in found.items() if value is not None})
        except ValidationError as error:
            raise SettingsError("; ".join(map(_sentence, error.errors(include_url=False)))) from None


def takes_reports(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether POLICY_TLSRPT turns reports on, asked at import, where nothing may be raised; Settings refuses what is
    neither on nor off.
    """
    return environment.get("POLICY_TLSRPT", "").strip().lower() in ("on", "1", "true", "yes", "y", "t")


def _sentence(problem: ErrorDetails) -> str:
    """One problem that pydantic found, without the value: a connection string is a secret."""
    message = problem["msg"].removeprefix("Value error, ")
    return f"{problem['loc'][0]}: {message}" if problem["loc"] else message
