"""The reading of the most forgiving senders is that of the real mailauth, on a few thousand odd texts and records."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from policy_store.sender.reading import lax_reading, lax_takes

_NODE = Path(sys.executable).with_name("node")
_SCRIPT = Path(__file__).parents[1] / "end_to_end" / "senders" / "read_mailauth.mjs"
_CHANCE = random.Random(8461)  # noqa: S311 - the same ones each time

_SPACES = ("", "", "", " ", "\t", "\v", "\f", "\x1c", "\x85", "\xa0", "\u200b", "\u2028", "\u3000", "\ufeff")
_NAMES = ("version", "mode", "mx", "max_age", "Version", "MODE", "Mx", "max-age", "x", "")
_VALUES = ("STSv1", "stsv1", "enforce", "Enforce", "testing", "none", "mx.a.example", "*.a", "", "İ", "604800")
_NUMBERS = ("0x10", "0X1F", "0b11", "0o17", "0x", "-1", "+5", "1e3", "1e400", ".5", "5.", "Infinity", "1_0", "-0", "٣")
_VERSIONS = ("v=STSv1", "v=stsv1", "V=STSv1", " v=STSv1", "v=STSv1 ", "v=STSv2")
_FIELDS = ("id=1", "ID=1", " id = 1", "id=", "id", "=1", "x=1", "", "id=2", "\xa0id=1", "id=\xa0", "v=STSv1")


def _text() -> str:
    """A policy with some of its lines changed."""
    pick = _CHANCE.choice
    lines = ["version: STSv1", "mode: enforce", "mx: mx.a.example", "max_age: 604800"]
    for _ in range(_CHANCE.randrange(3)):
        value = pick(_VALUES + _NUMBERS)
        line = f"{pick(_SPACES)}{pick(_NAMES)}{pick(_SPACES)}{pick((':', ':', ':', '='))}{pick(_SPACES)}{value}"
        lines[_CHANCE.randrange(4)] = line + pick(_SPACES)
    return pick(("\r\n", "\n")).join(lines)


def _max_ages() -> list[str]:
    """A policy with each number."""
    return [
        f"version: STSv1\nmode: enforce\nmx: a\nmax_age: {number}" for number in (*_NUMBERS, "31557600", "31557601")
    ]


def _records() -> list[str]:
    """One TXT record, or two."""
    pick = _CHANCE.choice
    fields = [[pick(_VERSIONS), *(pick(_FIELDS) for _ in range(_CHANCE.randrange(4)))] for _ in range(pick((1, 1, 2)))]
    return [pick(_SPACES) + ";".join(each) + pick(("", ";", " ", "\xa0")) for each in fields]


@pytest.fixture(scope="module")
def samples() -> tuple[dict[str, Any], dict[str, Any]]:
    """What is asked, and what mailauth answers."""
    asked = {"texts": [*_max_ages(), *(_text() for _ in range(2000))], "records": [_records() for _ in range(2000)]}
    done = subprocess.run([_NODE, _SCRIPT], input=json.dumps(asked), capture_output=True, text=True, check=True)
    return asked, json.loads(done.stdout)


def test_a_text_is_read_as_mailauth_reads_it(samples: tuple[dict[str, Any], dict[str, Any]]) -> None:
    asked, answers = samples
    assert 0.1 < sum(answer is not None for answer in answers["texts"]) / len(answers["texts"]) < 0.9
    for text, answer in zip(asked["texts"], answers["texts"], strict=True):
        reading = lax_reading(text.encode())
        assert (None if reading is None else [reading.mode, list(reading.mx)]) == answer, text


def test_a_record_is_taken_where_mailauth_takes_it(samples: tuple[dict[str, Any], dict[str, Any]]) -> None:
    asked, answers = samples
    assert 0.1 < sum(answers["records"]) / len(answers["records"]) < 0.9
    for records, answer in zip(asked["records"], answers["records"], strict=True):
        assert lax_takes(records) is answer, records
