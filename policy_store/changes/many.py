"""One operation on many domains at once: the decision for each, and the writes. An error in one domain does not stop
the others.
"""

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
    """The result of each change, in their order, as they are written."""
    return ordered(lambda change: attempt(lambda: _persistently(store, change), change.domain), changes)


def _persistently(store: Store, change: Change) -> Planned:
    """Write again once or twice if a connection breaks. What was already written is found and recorded."""
    for _ in range(_REPEATS):
        with suppress(ServiceRequestError, ServiceResponseError):
            return write(store, change)
    return write(store, change)


def attempt(act: Callable[[], Planned], domain: str) -> Planned:
    """What `act` returns. An error becomes the result of this domain, so that the others go on."""
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
