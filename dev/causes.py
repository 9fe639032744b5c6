"""Prints the tables of docs/reports.md with all causes of failures, out of their own data: `python -m dev.causes`."""

from policy_store.tlsrpt.causes import CAUSES, HEADINGS


def tables() -> str:
    """A table for each weight, in the order of the headings."""
    parts = []
    for weight, heading in HEADINGS.items():
        rows = [
            f"| `{cause.code}` | {cause.what} | {cause.remedy} |\n"
            for cause in CAUSES.values()
            if cause.weight == weight
        ]
        parts.append(f"**{heading}.**\n\n| cause | what it is | what to do |\n|---|---|---|\n{''.join(rows)}\n")
    return "".join(parts)


if __name__ == "__main__":
    print(tables(), end="")
