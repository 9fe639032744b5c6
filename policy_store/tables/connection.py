"""Clients for the tables, with bounds on what a call may cost, by connection string or by identity."""

from collections.abc import Callable, Mapping
from typing import Any

from azure.core.credentials import TokenCredential
from azure.data.tables import TableClient
from requests.utils import get_environ_proxies

from policy_store.settings import Settings, SettingsError
from policy_store.tables.identity import AppIdentity
from policy_store.tables.policies import TABLE
from policy_store.tables.transport import transport

# What one storage call of the app may cost, whatever the defaults of the SDK (up to 20 minutes): one retry, no sleep
# before it, and no obedience to a Retry-After.
_BOUNDS = {
    "connection_timeout": 0.5,
    "read_timeout": 1,
    "retry_total": 1,
    "retry_connect": 1,
    "retry_read": 1,
    "retry_status": 0,
    "retry_backoff_factor": 0.05,
}
# A page takes the service 5 seconds at most (its own limit); a Retry-After could outlast the function's time-out.
_PAGE_BOUNDS = {
    "connection_timeout": 2,
    "read_timeout": 10,
    "retry_total": 2,
    "retry_status": 0,
    "retry_backoff_factor": 0.3,
}
_OPERATOR_BOUNDS = {"connection_timeout": 5, "read_timeout": 30, "retry_total": 3, "retry_backoff_factor": 0.3}
_IDENTITY_BOUNDS = {"connection_timeout": 0.5, "read_timeout": 0.5, "retry_total": 0}


def identity(settings: Settings, *, operator: bool = False) -> TokenCredential | None:
    """The credential for the tables, to be shared by all clients; None where the settings have a key.

    That is the app's managed identity, or for an `operator` at a terminal their own (`az login` and its like).
    azure-identity is imported only where an identity is chosen.
    """
    if not settings.table_service_uri:
        return None
    return operator_identity() if operator else app_identity(settings.client_id)


def app_identity(client_id: str | None) -> AppIdentity:
    """The app's managed identity, the system-assigned one or that with `client_id`; makes no request."""
    from azure.identity import ManagedIdentityCredential

    def make() -> TokenCredential:
        return ManagedIdentityCredential(client_id=client_id, **_bounded(_IDENTITY_BOUNDS, 10))

    return AppIdentity(make)


def operator_identity() -> TokenCredential:
    """Whoever is signed in at this machine, by `az login` and its like; makes no request."""
    from azure.identity import DefaultAzureCredential

    return DefaultAzureCredential()


def open_table(
    settings: Settings,
    name: str = TABLE,
    *,
    connections: int = 10,
    pages: bool = False,
    operator: bool = False,
    credential: TokenCredential | None = None,
) -> TableClient:
    """A client for the table `name` with the app's bounds: every call ends within about 3 seconds.

    To read whole `pages` the bounds are wider, about 40 seconds; for an `operator` at a terminal they are wider still.
    `credential` is what `identity` returned, for clients that share one. Makes no request. Raises SettingsError for a
    connection string that cannot be read.
    """
    limits = _OPERATOR_BOUNDS if operator else _PAGE_BOUNDS if pages else _BOUNDS
    if settings.table_service_uri:
        credential = credential or identity(settings, operator=operator)
        assert credential is not None  # noqa: S101 - the settings have an address
        forget = credential.forget if isinstance(credential, AppIdentity) else None
        options = _bounded(limits, connections, forget)
        client = TableClient(settings.table_service_uri, name, credential=credential, **options)
    else:
        options = _bounded(limits, connections)
        try:
            client = TableClient.from_connection_string(settings.connection_string or "", name, **options)
        except ValueError as error:
            raise SettingsError(
                "POLICY_STORE is not a connection string: copy it from the storage account's access keys, "
                "or write UseDevelopmentStorage=true for Azurite"
            ) from error
    options["transport"].session.proxies.update(get_environ_proxies(client.url))
    return client


def _bounded(
    limits: Mapping[str, float], connections: int, on_unauthorized: Callable[[], None] | None = None
) -> dict[str, Any]:
    """The options of a client of the SDK that keeps within the limits and follows no redirect: a table service has
    nothing to redirect to, and whatever stands there is not ours.
    """
    timeouts = limits["connection_timeout"], limits["read_timeout"]
    return {**limits, "permit_redirects": False, "transport": transport(connections, *timeouts, on_unauthorized)}
