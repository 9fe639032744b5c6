"""The command `mta-sts`: one module for each group of commands, all of them registered here."""

import logging

from policy_store.cli import audit, bind, bulk, check, dns, edit, lint, look, promote, reports, site, stats
from policy_store.cli.command import app

__all__ = [
    "app",
    "audit",
    "bind",
    "bulk",
    "check",
    "dns",
    "edit",
    "lint",
    "look",
    "main",
    "promote",
    "reports",
    "site",
    "stats",
]


def main() -> None:
    """Run the command; it says itself what failed, in one sentence, in place of the SDK's warnings."""
    logging.getLogger("azure").setLevel(logging.CRITICAL)
    app()
