"""The command `mta-sts`."""

from policy_store.cli.command import app
from policy_store.cli.screen import end_output

__all__ = ["app", "main"]


def main() -> None:
    """Run the command; it says itself what failed, in one sentence, in place of the SDK's warnings."""
    import logging

    logging.getLogger("azure").setLevel(logging.CRITICAL)
    try:
        app(prog_name="mta-sts")
    finally:
        end_output()
