"""The texts in reports held against policies: senders change the order of the lines and the white space."""

from functools import lru_cache

from policy_store.policy import Policy, PolicySyntaxError


@lru_cache(maxsize=1024)
def policy_in(text: str) -> Policy | None:
    """The policy that a report's text holds, None where it has none or one that is not valid."""
    try:
        return Policy.parse(text) if text else None
    except PolicySyntaxError:
        return None


def same(one: Policy, other: Policy) -> bool:
    """Whether both ask the same of senders, in whatever order the patterns are."""
    return one.mode == other.mode and one.max_age == other.max_age and set(one.mx) == set(other.mx)
