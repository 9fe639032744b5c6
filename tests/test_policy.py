"""The policy of RFC 8461 section 3.2: reading, the one text that is served, and the MX hosts that it allows."""

import base64
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from policy_store.policy import LARGEST_TEXT, MODES, Policy, PolicySyntaxError
from tests.conftest import load_cases
from tests.strategies import domains, host_names, labels, policies

_DATA = Path(__file__).parent / "data"
_REAL = [json.loads(line) for line in (_DATA / "policies.jsonl").read_text(encoding="utf-8").splitlines()]
# How the collection names what is wrong -> how PolicySyntaxError does, where the names differ.
_CODES = {
    "leading_wsp": {"leading_space"},
    "empty_ext_value": {"empty_value"},
    "blank_line_start": {"blank_line"},
    "blank_line_middle": {"blank_line"},
    "blank_line_end": {"blank_line"},
    "mode_trailing_text": {"mode_value"},
    "max_age_trailing_text": {"max_age_value"},
    "front_matter": {"no_colon"},
    "rtf": {"no_colon", "field_name"},
    "mx_bad_char": {"mx_value"},
    "mx_bad_wildcard": {"mx_value"},
    "mx_empty_label": {"mx_value"},
    "mx_space": {"mx_value"},
    "mx_trailing_dot": {"mx_value"},
    "mx_trailing_text": {"mx_value"},
}
_MINIMAL = "version: STSv1\nmode: testing\nmx: mx.contoso.com\nmax_age: 604800\n"

_near_lines = st.lists(
    st.sampled_from(_MINIMAL.splitlines())
    | st.builds("{}:{}".format, st.sampled_from(["version", "mode", "mx", "max_age", "x"]), st.text(max_size=20))
    | st.text(max_size=40),
    max_size=8,
)
_near_texts = st.builds(lambda end, lines: end.join(lines), st.sampled_from(["\n", "\r\n", "\r"]), _near_lines)


def _read(text: str | bytes) -> Policy | PolicySyntaxError:
    try:
        return Policy.parse(text)
    except PolicySyntaxError as error:
        return error


def _problems(text: str | bytes) -> list[tuple[int | None, str]]:
    read = _read(text)
    return [] if isinstance(read, Policy) else [(problem.line, problem.code) for problem in read.problems]


def _octets(entry: dict[str, Any]) -> bytes:
    return base64.b64decode(entry["b64"]) if "b64" in entry else entry["text"].encode()


class TestRealPolicies:
    @pytest.mark.parametrize("entry", [pytest.param(entry, id=entry["id"]) for entry in _REAL if entry["valid"]])
    def test_valid(self, entry: dict[str, Any]) -> None:
        """A valid text from a public repository is read alike as a string and as octets, with the fields it holds."""
        policy = Policy.parse(entry["text"])
        assert policy == Policy.parse(_octets(entry))
        assert policy.mode == entry["mode"]
        assert policy.max_age == int(entry["max_age"])
        assert policy.mx == tuple(dict.fromkeys(mx.lower() for mx in entry["mx"]))

    @pytest.mark.parametrize("entry", [pytest.param(entry, id=entry["id"]) for entry in _REAL if not entry["valid"]])
    def test_broken(self, entry: dict[str, Any]) -> None:
        """A broken text is refused, as a string and as octets, for the same kinds of problem as others found."""
        octets = _octets(entry)
        found = {code for _, code in _problems(octets)}
        known = [_CODES.get(code, {code}) for code in entry["errors"]]
        assert found
        assert all(found & codes for codes in known)
        assert found <= set[str]().union(*known)
        if "text" in entry:
            assert _problems(entry["text"]) == _problems(octets)

    def test_all_are_there(self) -> None:
        """The collection is whole: 498 texts, 408 of them valid."""
        assert len(_REAL) == 498
        assert sum(entry["valid"] for entry in _REAL) == 408


class TestMadeUpPolicies:
    @pytest.mark.parametrize("case", load_cases("made_up_policies.json"))
    def test_problems(self, case: dict[str, Any]) -> None:
        """Each text of the table has exactly the problems beside it, or is the policy beside it."""
        text = case["text"].encode(case["encoding"]) if "encoding" in case else case["text"]
        expected = [(line, code) for line, code in case.get("problems", [])]
        assert sorted(_problems(text), key=str) == sorted(expected, key=str)
        if not expected:
            policy = Policy.parse(text)
            assert policy.model_dump(mode="json") == case["policy"]
            assert Policy.parse(text.encode()) == policy

    @pytest.mark.parametrize("as_octets", [False, True])
    def test_as_large_as_senders_read(self, as_octets: bool) -> None:
        """A text of 65,536 octets is read, one octet more is refused."""
        filler = "x: " + "é" * ((LARGEST_TEXT - len(_MINIMAL) - 5) // 2)
        text = _MINIMAL + filler + "." * (LARGEST_TEXT - len((_MINIMAL + filler).encode()))
        larger = text + "."
        assert _problems(text.encode() if as_octets else text) == []
        assert _problems(larger.encode() if as_octets else larger) == [(None, "too_large")]

    def test_a_long_line_of_spaces_costs_little(self) -> None:
        """A line of 64 KiB of white space is read within the second that an answer may take (it once took ten)."""
        padding = " " * (LARGEST_TEXT - len(_MINIMAL) - 8)
        start = time.monotonic()
        assert Policy.parse(f"{_MINIMAL}x: a{padding}b\n") == Policy.parse(_MINIMAL)
        assert time.monotonic() - start < 1


class TestPolicySyntaxError:
    def test_says_every_problem_with_its_line(self) -> None:
        """The message has every problem in the order of the lines, each with the value and the remedy."""
        with pytest.raises(PolicySyntaxError) as caught:
            Policy.parse("version: STSv1\nmode: perhaps\nmx: mx.contoso.com.\nmax_age: 604,800\n")
        assert str(caught.value) == (
            "line 2: mode is 'perhaps': it must be enforce, testing or none; "
            "line 3: mx 'mx.contoso.com.' ends with a dot: leave the dot out; "
            "line 4: max_age is '604,800': it must be seconds from 0 to 31557600"
        )

    def test_the_whole_text_has_no_line(self) -> None:
        """What is missing is said first, without a line."""
        assert _problems("mode: perhaps\nmx: mx.contoso.com\nmax_age: 1") == [
            (None, "missing_version"),
            (1, "mode_value"),
        ]

    @given(st.text() | st.binary() | _near_texts | _near_texts.map(lambda text: text.encode("utf-16", "replace")))
    def test_parse_raises_nothing_else(self, text: str | bytes) -> None:
        """Any string and any octets are a policy, or a PolicySyntaxError with at least one problem, fit for a log."""
        read = _read(text)
        if isinstance(read, Policy):
            assert Policy.parse(read.text) == read
        else:
            assert read.problems
            assert len(str(read).splitlines()) == 1

    @given(_near_lines.map("\n".join))
    def test_line_numbers_exist(self, text: str) -> None:
        """Every line that a problem names is a line of the text."""
        assert all(line is None or 1 <= line <= text.count("\n") + 1 for line, _ in _problems(text))


class TestText:
    @given(policies())
    def test_parse_inverts_text(self, policy: Policy) -> None:
        """The text of every policy is read as that policy."""
        assert Policy.parse(policy.text) == policy
        assert Policy.parse(policy.text.encode("ascii")) == policy

    @given(policies())
    def test_one_form(self, policy: Policy) -> None:
        """The text is ASCII, ends every line with CRLF, and has version, mode, mx and max_age in this order."""
        mx = "".join(re.escape(f"mx: {mx}\r\n") for mx in policy.mx)
        form = rf"version: STSv1\r\nmode: {policy.mode}\r\n{mx}max_age: {policy.max_age}\r\n"
        assert re.fullmatch(form, policy.text, re.ASCII)
        assert policy.text.isascii()
        assert len(policy.text.splitlines()) == 3 + len(policy.mx)

    @given(policies())
    def test_line_ends_are_alike(self, policy: Policy) -> None:
        """LF and CRLF end a line alike, and the last line may lack its end."""
        lf = policy.text.replace("\r\n", "\n")
        assert Policy.parse(lf) == Policy.parse(lf[:-1]) == Policy.parse(policy.text[:-2]) == policy

    @given(policies(), st.randoms(use_true_random=False))
    def test_order_is_free(self, policy: Policy, random: Any) -> None:
        """Fields in any order are the same policy, the order of mx aside."""
        lines = policy.text.splitlines()
        random.shuffle(lines)
        parsed = Policy.parse("\n".join(lines))
        assert (parsed.mode, parsed.max_age, set(parsed.mx)) == (policy.mode, policy.max_age, set(policy.mx))


class TestPolicy:
    @given(policies())
    def test_letter_case_of_patterns_does_not_matter(self, policy: Policy) -> None:
        """Patterns in upper case are the same policy."""
        upper = tuple(mx.upper() for mx in policy.mx)
        assert Policy(mode=policy.mode, mx=upper, max_age=policy.max_age) == policy

    @pytest.mark.parametrize(
        "fields",
        [
            {"mode": "Testing", "mx": ["mx.contoso.com"], "max_age": 1},
            {"mode": "report", "mx": ["mx.contoso.com"], "max_age": 1},
            {"mode": "enforce", "mx": [], "max_age": 1},
            {"mode": "enforce", "max_age": 1},
            {"mode": "testing", "mx": [], "max_age": 1},
            {"mode": "none", "mx": ["*"], "max_age": 1},
            {"mode": "none", "mx": ["mx.contoso.com\r\nmode: enforce"], "max_age": 1},
            {"mode": "none", "mx": ["mx.contoso.com."], "max_age": 1},
            {"mode": "none", "mx": ["\u212a.example"], "max_age": 1},
            {"mode": "none", "max_age": -1},
            {"mode": "none", "max_age": 31557601},
            {"mode": "none", "max_age": "604800"},
            {"mode": "none", "max_age": True},
            {"mode": "none", "max_age": 1.5},
            {"mode": "none", "max_age": 1, "version": "STSv1"},
            {"mode": "none"},
            {"max_age": 1},
        ],
    )
    def test_holds_nothing_else(self, fields: dict[str, Any]) -> None:
        """No policy can be made of what no policy may hold."""
        with pytest.raises(ValidationError):
            Policy.model_validate(fields)

    def test_is_frozen(self) -> None:
        """A policy cannot be changed."""
        policy = Policy(mode="none", max_age=1)
        with pytest.raises(ValidationError):
            policy.max_age = 2


class TestMatches:
    @given(host_names, labels)
    @example("mx.microsoft", "contoso-com")
    def test_a_wildcard_is_exactly_one_label(self, parent: str, label: str) -> None:
        """`*.parent` matches any one label below parent, neither parent itself nor two labels below it."""
        policy = Policy(mode="enforce", mx=(f"*.{parent}",), max_age=1)
        assert policy.matches(f"{label}.{parent}")
        assert not policy.matches(parent)
        assert not policy.matches(f"{label}.{label}.{parent}")
        assert not policy.matches(f".{parent}")
        assert not policy.matches(f"{label}{parent}")

    @given(domains, labels)
    def test_a_host_name_matches_itself_only(self, host: str, label: str) -> None:
        """A pattern without a wildcard matches that host name, nothing below or above it."""
        policy = Policy(mode="enforce", mx=(host,), max_age=1)
        assert policy.matches(host)
        assert not policy.matches(f"{label}.{host}")
        assert not policy.matches(host.partition(".")[2])

    @given(policies(), host_names)
    def test_letter_case_and_a_trailing_dot_do_not_count(self, policy: Policy, host: str) -> None:
        """DNS gives MX hosts in any letter case and often with a trailing dot."""
        for name in (host, *(mx.replace("*", "a") for mx in policy.mx)):
            assert policy.matches(name) == policy.matches(name.upper()) == policy.matches(f"{name}.")
            assert policy.matches(name) or name == host

    @pytest.mark.parametrize("mode", MODES)
    def test_nothing_matches_no_pattern(self, mode: Any) -> None:
        """An empty name matches nothing, in whatever mode."""
        policy = Policy(mode=mode, mx=("*.contoso.com",), max_age=1)
        assert not policy.matches("")
        assert not policy.matches(".")
