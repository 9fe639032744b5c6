"""The command `mta-sts`, also as `python -m policy_store`; in one sentence where its packages are not installed."""

import sys

_WRONG_USE = 2


def main() -> None:
    """Run the command. The package alone, without its extra `cli`, is the library of the app."""
    try:
        from policy_store.cli import main as run

        run()
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("policy_store"):
            raise
        print(
            f"The command mta-sts needs the package {error.name}, which is not installed: install it again with the "
            "extra cli, as in pip install '.[cli]' in the checkout, or 'mta-sts[cli] @ ADDRESS' for a wheel or git",
            file=sys.stderr,
        )
        sys.exit(_WRONG_USE)


if __name__ == "__main__":
    main()
