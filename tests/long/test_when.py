"""When ids are published: the model of tests/azure/test_when.py in 20,000 runs, half an hour."""

from typing import Any

from hypothesis import settings

from tests.azure.test_when import When


class Longer(When):
    """The same model, tried for longer."""


TestWhen: Any = Longer.TestCase
TestWhen.settings = settings(max_examples=20_000, stateful_step_count=60)
