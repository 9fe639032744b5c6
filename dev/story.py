"""A store as it looks after some months with some customers: for pictures and for tests of the page. All of it is made
up; its times are counted from a day that is given.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from azure.data.tables import TableServiceClient

from dev.sample_reports import sample_reports
from policy_store.policy import Mode, Policy
from policy_store.pool import ordered
from policy_store.tables.history import TABLE as HISTORY_TABLE
from policy_store.tables.history import key_of
from policy_store.tables.policies import TABLE as POLICY_TABLE
from policy_store.tables.policies import PolicyTable
from policy_store.tables.reports import TABLE as REPORT_TABLE
from policy_store.tables.reports import ReportTable

_EXCHANGE = ("*.mail.protection.outlook.com",)
_GOOGLE = ("smtp.google.com",)
_WEEK, _MONTH = 604800, 2419200


@dataclass(frozen=True)
class _Past:
    """One revision: how many days ago, the policy, who and why."""

    days: float
    mode: Mode
    mx: tuple[str, ...] = _EXCHANGE
    max_age: int = _WEEK
    by: str = "ada@contoso-desk"
    why: str = ""

    @property
    def policy(self) -> Policy:
        return Policy(mode=self.mode, mx=self.mx, max_age=self.max_age)


_DOMAINS: dict[str, tuple[str, str, tuple[_Past, ...]]] = {
    "adatum.example": (
        "Adatum",
        "Mimecast in front of Exchange Online",
        (
            _Past(120, "testing", why="new customer"),
            _Past(101, "enforce", why="two weeks without a failure"),
            _Past(44, "enforce", (*_EXCHANGE, "eu-smtp-inbound-1.mimecast.com"), why="Mimecast comes in front"),
            _Past(
                12, "enforce", (*_EXCHANGE, "eu-smtp-inbound-1.mimecast.com"), _MONTH, "li@contoso-desk", "runs well"
            ),
            _Past(
                2, "enforce", (*_EXCHANGE, "eu-smtp-inbound-1.mimecast.com", "eu-smtp-inbound-2.mimecast.com"), _MONTH
            ),
        ),
    ),
    "alpineskihouse.example": ("Alpine Ski House", "", (_Past(30, "testing", why="imported"),)),
    "bookings.alpineskihouse.example": ("Alpine Ski House", "", (_Past(30, "testing", why="imported"),)),
    "contoso.example": (
        "Contoso",
        "Exchange Online, still watching the reports",
        (_Past(9, "testing", why="imported"),),
    ),
    "fabrikam.example": (
        "Fabrikam",
        "Exchange Online with DNSSEC",
        (_Past(90, "testing"), _Past(70, "enforce", ("fabrikam-example.a-v1.mx.microsoft",), 1209600, why="promoted")),
    ),
    "humongousinsurance.example": (
        "Humongous Insurance",
        "",
        (_Past(60, "testing"), _Past(41, "enforce", max_age=_MONTH)),
    ),
    "proseware.example": (
        "",
        "the customer left",
        (_Past(200, "enforce"), _Past(3, "none", max_age=86400, why="retired")),
    ),
    "woodgrove.example": (
        "Woodgrove Bank",
        "Google Workspace",
        (_Past(150, "testing", _GOOGLE), _Past(130, "enforce", _GOOGLE, _MONTH)),
    ),
    "xn--bcher-kva.example": ("Bücher & Söhne", "", (_Past(25, "enforce", ("mx1.xn--bcher-kva.example",), _MONTH),)),
    "a-rather-long-name-of-a-company-that-does-everything.subsidiaries.northwindtraders.example": (
        "Northwind Traders and all their subsidiaries in Europe, the Middle East and Africa",
        "",
        (_Past(5, "testing", ("mailserver-with-a-long-name-01.subsidiaries.northwindtraders.example",)),),
    ),
}
_REPORTED = {
    "alpineskihouse.example": "ready",
    "contoso.example": "waiting",
    "fabrikam.example": "ready",
    "humongousinsurance.example": "expired",
    "woodgrove.example": "ready",
}
_BROKEN = "tailspintoys.example"
_CUSTOMERS = ("Contoso", "Fabrikam", "Adatum", "Wide World Importers", "Woodgrove Bank")


def tell(connection_string: str, now: datetime, *, more: int = 0) -> None:
    """Make the tables and put the story into them, with so many domains more, every one with a short history."""
    with TableServiceClient.from_connection_string(connection_string) as service:
        policies = service.create_table_if_not_exists(POLICY_TABLE)
        history = service.create_table_if_not_exists(HISTORY_TABLE)
        for domain, (customer, note, past) in {**_DOMAINS, **dict(_more(more))}.items():
            PolicyTable(policies).add(domain, past[-1].policy, note, customer=customer)
            for one in past:
                key = key_of(now - timedelta(days=one.days))
                cells = {"id": key, "text": one.policy.text, "by": one.by, "note": one.why}
                history.create_entity({"PartitionKey": domain, "RowKey": key, **cells})
        reports = ReportTable(service.create_table_if_not_exists(REPORT_TABLE))
        reported = [(domain, _DOMAINS[domain][2][-1].policy, shows) for domain, shows in _REPORTED.items()]
        for _ in ordered(reports.add, sample_reports(reported, now)):
            pass
        broken = {"PartitionKey": _BROKEN, "RowKey": "policy", "mode": "enforced", "max_age": _WEEK}
        policies.create_entity({**broken, "mx": "*.mail.protection.outlook.com", "customer": "Tailspin Toys"})


def _more(count: int) -> Iterator[tuple[str, tuple[str, str, tuple[_Past, ...]]]]:
    for number in range(count):
        days = 20 + number % 200 / 10
        past: tuple[_Past, ...] = (_Past(days, "testing", why="imported"),)
        if number % 3:
            past += (_Past(days - 15 + number % 7 / 10, "enforce", max_age=_MONTH, why="promoted"),)
        yield f"tenant{number:05}.example", (_CUSTOMERS[number % len(_CUSTOMERS)], "", past)
