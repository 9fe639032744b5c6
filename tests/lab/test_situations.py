"""The command sees every situation of the lab as senders do: it runs once over all of them."""

import json
import subprocess
import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from tests.lab.situation import MxHost, Run, Situation, load
from tests.lab.world import World

_SITUATIONS = load()
_LIMITS = ["--dns-seconds=5", "--https-seconds=7", "--smtp-seconds=3"]
_TIMEOUT = 120
_COMMAND = str(Path(sys.executable).with_name("mta-sts"))


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    """What the command says of each domain: one run for each value of `run`."""
    runs: tuple[Run, ...] = ("allow_private", "public_only")
    domains = [[situation.domain for situation in _SITUATIONS if situation.run == run] for run in runs]
    with World(_SITUATIONS) as world, ThreadPoolExecutor() as threads:
        found = threads.map(partial(check, world), domains, runs)
        return {each["domain"]: each for answers in found for each in answers}


def check(world: World, domains: list[str], run: Run = "allow_private", *more: str) -> list[dict[str, Any]]:
    """What the command, with `more` options, says of `domains` as JSON."""
    command = [_COMMAND, "check", "--file", "-", "--json", *world.options, *_LIMITS]
    command += ["--allow-private", *more] if run == "allow_private" else more
    done = subprocess.run(
        command,
        input="\n".join(domains),
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert not done.stderr
    answer: list[dict[str, Any]] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("situation", _SITUATIONS, ids=lambda situation: situation.name)
def test_the_command_says_of_a_situation_what_its_source_says(situation: Situation, answers: dict[str, Any]) -> None:
    answer = answers[situation.domain]
    said = {key: answer[key] for key in ("verdict", "if_enforced", "result_type", "mx")}
    assert said == {
        "verdict": situation.verdict,
        "if_enforced": situation.if_enforced,
        "result_type": situation.result_type,
        "mx": [_expected(situation, label, host) for label, host in situation.hosts.items()],
    }
    assert {finding["code"] for finding in answer["findings"]} == situation.findings


def _expected(situation: Situation, label: str, host: MxHost) -> dict[str, Any]:
    return {
        "host": situation.host_name(label),
        "verdict": host.verdict or situation.verdict,
        "if_enforced": host.if_enforced or situation.if_enforced,
        "exchange_code": host.exchange_code,
        "result_type": host.result_type,
    }


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("good", "enforced"),
        ("enforce-then-none", "enforced"),
        ("testing", "testing"),
        ("none-without-starttls", "none"),
        ("txt-missing", "not published"),
        ("txt-in-lower-case", "not published"),
        ("txt-several", "broken"),
        ("https-404", "broken"),
        ("trailing-dot", "broken"),
        ("host-in-a-circle", "broken"),
        ("second-address-in-testing", "broken"),
        ("txt-servfail", "unknown"),
        ("host-silence", "unknown"),
        ("host-over-ipv6-out-of-reach-alone", "unknown"),
    ],
)
def test_what_is_published_is_said_by_itself(name: str, published: str, answers: dict[str, Any]) -> None:
    assert answers[f"{name}.example"]["published"] == published


@pytest.mark.parametrize(
    ("name", "state", "counts"),
    [
        ("good", "checked", (1, 0, 0)),
        ("https-404", "checked", (0, 1, 0)),
        ("mx-refuses-connections", "not checked", (0, 0, 1)),
        ("mx-busy", "not checked", (0, 0, 1)),
        ("mx-silent-over-tls", "not checked", (0, 0, 1)),
        ("mx-servfail", "not checked", (0, 0, 0)),
        ("one-mx-of-two-expired-the-other-blocked", "partly checked", (0, 1, 1)),
        ("mx-hosts-without-number", "partly checked", (20, 0, 1)),
        ("null-mx", "none", (0, 0, 0)),
        ("neither-mx-nor-address", "none", (0, 0, 0)),
    ],
)
def test_how_far_the_mail_hosts_were_checked_is_said_by_itself(
    name: str, state: str, counts: tuple[int, int, int], answers: dict[str, Any]
) -> None:
    hosts = answers[f"{name}.example"]["mail_hosts"]
    assert (hosts["state"], (hosts["passing"], hosts["failing"], hosts["not_checked"])) == (state, counts)
    assert bool(hosts["why"]) is (state != "checked")


def test_no_control_character_of_a_domain_reaches_a_finding(answers: dict[str, Any]) -> None:
    texts = [finding[key] for answer in answers.values() for finding in answer["findings"] for key in finding]
    assert not [text for text in texts if isinstance(text, str) and any(map(_is_control, text))]


def _is_control(character: str) -> bool:
    return unicodedata.category(character) == "Cc"


def test_any_two_situations_differ_in_what_the_world_shows() -> None:
    def key(situation: Situation) -> str:
        shown = situation.model_dump_json(include={"dns", "dnssec", "policy", "second", "second_is", "hosts", "run"})
        return shown.replace(situation.name, "")

    same = [[each.name for each in group] for _, group in groupby(sorted(_SITUATIONS, key=key), key)]
    assert [names for names in same if len(names) > 1] == []


def test_there_are_many() -> None:
    assert len(_SITUATIONS) >= 150
