"""Hypothesis strategies for names and policies."""

from hypothesis import strategies as st

from policy_store.policy import LONGEST_MAX_AGE, MODES, Policy

labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
host_names = st.builds(
    lambda lower, top: ".".join([*lower, top]),
    st.lists(labels, max_size=4),
    st.from_regex(r"[a-z][a-z0-9]{1,10}", fullmatch=True),
)
domains = host_names.filter(lambda name: "." in name)
patterns = st.builds("".join, st.tuples(st.sampled_from(["", "*."]), domains))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Any policy."""
    mode = draw(st.sampled_from(MODES))
    mx = draw(st.lists(patterns, min_size=0 if mode == "none" else 1, max_size=5))
    return Policy(mode=mode, mx=tuple(mx), max_age=draw(st.integers(0, LONGEST_MAX_AGE)))
