"""The store: its tables together, as the operations and the command see them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from policy_store.settings import Settings, SettingsError
from policy_store.spelling import meant
from policy_store.tables.connection import identity, open_table
from policy_store.tables.entry import Entry, row_of, walk
from policy_store.tables.history import TABLE as HISTORY_TABLE
from policy_store.tables.history import History
from policy_store.tables.policies import TABLE as POLICY_TABLE
from policy_store.tables.policies import PolicyTable
from policy_store.tables.reports import TABLE as REPORT_TABLE
from policy_store.tables.reports import ReportTable
from policy_store.zone_id import ZoneId


@dataclass(frozen=True)
class Store:
    """The tables, for how many seconds the app serves a copy, the store's name for people, the zone that customers
    delegate to (empty if there is none), and the address of the table service.
    """

    policies: PolicyTable
    history: History
    reports: ReportTable
    fresh_seconds: float
    name: str
    zone: str = ""
    address: str = ""

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """The store that the settings name, for an operator. Makes no request. Raises SettingsError."""
        credential = identity(settings, operator=True)
        policies, history, reports = (
            open_table(settings, table, operator=True, credential=credential)
            for table in (POLICY_TABLE, HISTORY_TABLE, REPORT_TABLE)
        )
        try:
            zone = ZoneId.parse(settings.dns_zone).name if settings.dns_zone else ""
        except ValueError as error:
            raise SettingsError(f"POLICY_DNS_ZONE: {error}") from error
        tables = PolicyTable(policies), History(history), ReportTable(reports)
        return cls(*tables, settings.fresh_seconds, _name(policies.url), zone, policies.url)

    def entry(self, domain: str, *, brief: bool = False) -> Entry:
        """Everything about `domain` in the store. Two requests; with `brief` only one if there is no row."""
        row = row_of(self.policies, domain)
        if brief and row is None:
            return Entry(domain, None)
        return Entry(domain, row, (), tuple(self.history.revisions(domain)))

    def entries(self) -> Iterator[Entry]:
        """Every domain of either table in the order of the keys, page by page."""
        return walk(self.policies, self.history)

    def near(self, domain: str) -> str | None:
        """The domain with a row that is one letter away from `domain`, for "did you mean"; None if there are none or
        several.
        """
        return meant(domain, self.domains())

    def domains(self) -> Iterator[str]:
        """Every domain that has a row which requests find, valid or not, in key order; the history is not read."""
        for row in self.policies.rows():
            if getattr(row, "reachable", True):
                yield row.domain


def storage_problem(error: AzureError) -> tuple[str, str]:
    """What a failed storage call means, and what to do. It repeats no text of the HTTP library."""
    if isinstance(error, ClientAuthenticationError) and error.status_code is None:
        return "no identity for the store was found", "run 'az login', or name a connection string with --store"
    if isinstance(error, ServiceRequestError):
        return "the store cannot be reached: it takes no connection, or its name is not in DNS", _CHECK
    if isinstance(error, ServiceResponseError):
        return "the store cannot be reached: it takes connections, but does not answer", _CHECK
    if isinstance(error, HttpResponseError):
        match error.status_code:
            case 401 | 403:
                return (
                    f"the store refuses access ({error.status_code})",
                    "check the key, or ask for the role Storage Table Data Contributor on both tables and wait some "
                    "minutes after it was given",
                )
            case 404:
                return (
                    "the tables policies and policyhistory are not in this store",
                    "check the settings, or create both tables",
                )
            case 400 | 413:
                return f"the store refuses what was written ({error.status_code})", "shorten the note and the patterns"
            case status if status is not None and status >= 429:
                return f"the store is busy ({status})", "try again in a minute"
    reason = " ".join(str(error.message or error).split())[:200]
    return f"the store fails: {reason}", _CHECK


_CHECK = "check the settings and the network, or name a store with --store"


def _name(url: str) -> str:
    """The store's name for people: the account, or for Azurite the address."""
    host = url.removeprefix("https://").removeprefix("http://").split("?")[0]
    account, _, rest = host.partition(".table.")
    return account if rest else host.rpartition("/")[0] or host
