"""The command `mta-sts`."""

from policy_store.cli.command import app

__all__ = ["app", "main"]


def main() -> None:
    """Run the command; it says itself what failed, in one sentence, in place of the SDK's warnings."""
    import logging

    logging.getLogger("azure").setLevel(logging.CRITICAL)
    app(prog_name="mta-sts")
