"""The breaker with a clock of the test's own: what opens it, and what the log hears."""

import logging

import pytest
from azure.core.exceptions import HttpResponseError

from policy_store.breaker import PAUSE, QUIET, Breaker


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock)


def _levels(caplog: pytest.LogCaptureFixture) -> list[int]:
    return [record.levelno for record in caplog.records if record.name == "policy_store.breaker"]


def test_a_silent_read_opens_it_until_one_probe_succeeds(breaker: Breaker, clock: Clock) -> None:
    assert breaker.admit() is False
    clock.time += 1
    breaker.silent("a.example", clock.time - 1)
    assert breaker.paused
    assert breaker.admit() is None
    clock.time += PAUSE
    assert breaker.admit() is True, "the probe"
    assert breaker.admit() is None
    breaker.succeeded()
    assert breaker.admit() is False


def test_one_silent_partition_does_not_open_it(breaker: Breaker, clock: Clock) -> None:
    """Another read of the table has succeeded since the silent one began."""
    started = clock.time
    clock.time += 0.5
    breaker.succeeded()
    clock.time += 1
    breaker.silent("a.example", started)
    breaker.failed("a.example", TimeoutError(), started)
    assert not breaker.paused


def test_a_read_that_waited_for_its_turn_is_not_silent(breaker: Breaker, clock: Clock) -> None:
    breaker.silent("a.example", clock.time - 0.1)
    assert not breaker.paused


def test_a_quick_failure_does_not_open_it(breaker: Breaker, clock: Clock) -> None:
    breaker.failed("a.example", HttpResponseError("busy"), clock.time)
    assert not breaker.paused
    assert breaker.failing


def test_faults_that_come_and_go_are_one_episode(
    breaker: Breaker, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for number in range(600):  # ten minutes
        clock.time += 1
        if number % 5:
            breaker.succeeded()
        else:
            breaker.failed("a.example", HttpResponseError("busy"), clock.time)
    assert _levels(caplog) == [logging.ERROR]
    clock.time += QUIET
    breaker.succeeded()
    breaker.succeeded()
    assert _levels(caplog) == [logging.ERROR, logging.WARNING]
    assert "storage answers again" in caplog.messages
