"""One operation on many domains at once: what it comes to for each, and the writes; an error in one is that one's."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError

from policy_store.changes.change import Change, Failed, Planned, Reason, Refused
from policy_store.changes.write import write
from policy_store.pool import ordered
from policy_store.tables.policies import RowChanged, RowExists
from policy_store.tables.store import Store, storage_problem

_REPEATS = 2


def decide_all[T](
    decide: Callable[[T], Planned], items: Iterable[T], domain_of: Callable[[T], str]
) -> Iterator[Planned]:
    """What `decide` says of each item, in their order; nothing is written."""
    return ordered(lambda item: attempt(lambda: decide(item), domain_of(item)), items)


def write_all(store: Store, changes: Iterable[Change]) -> Iterator[Planned]:
    """What became of each change as it was written, in their order."""
    return ordered(lambda change: attempt(lambda: _persistently(store, change), change.domain), changes)


def _persistently(store: Store, change: Change) -> Planned:
    """Write again once or twice where a connection breaks: what was written already is found and recorded."""
    for _ in range(_REPEATS):
        with suppress(ServiceRequestError, ServiceResponseError):
            return write(store, change)
    return write(store, change)


def attempt(act: Callable[[], Planned], domain: str) -> Planned:
    """What `act` returns; what keeps it from happening is the result of this domain, since others go on."""
    try:
        return act()
    except RowExists as error:
        return Refused(domain, (Reason("row_exists", str(error)),))
    except RowChanged as error:
        return Failed(domain, (Reason("row_changed", f"{error}", "nothing was overwritten"),))
    except AzureError as error:
        message, remedy = storage_problem(error)
        return Failed(domain, (Reason("storage", message, f"{remedy}, then repeat this"),))
    except Exception as error:
        sentence = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return Failed(domain, (Reason("unexpected", f"an error that nobody expected: {sentence}", "report it"),))
