"""What people save in a checkout, and what tools leave there: for the tests that look for it where it must not be."""

from pathlib import Path

AT_THE_TOP = (
    # exports
    "accepted-domains.csv",
    "policies.csv",
    "policies.json",
    "domains.txt",
    "bind.txt",
    "Kunden Müller & Söhne.xlsx",
    "Angebot 2026.docx",
    "名单",
    # keys and settings
    "contoso.pfx",
    "contoso.pem",
    "contoso.key",
    ".env",
    ".env.production",
    "local.settings.json",
    "parameters.contoso.json",
    # backups and scripts
    "function_app.py.bak",
    "host.json~",
    "requirements.txt.old",
    "copy_store.py",
    "notes.md",
    # folders: builds, sites, clones, editors
    "build/lib/policy_store/row.py",
    "dist/mta_sts-0.1.0-py3-none-any.whl",
    "mta_sts.egg-info/PKG-INFO",
    "old/policy_store/row.py",
    "sites/contoso.com/.well-known/mta-sts.txt",
    "policies/contoso.com.txt",
    "other checkout/.git/config",
    "other checkout/function_app.py",
    ".vscode/settings.json",
    ".idea/workspace.xml",
    # made by the project's own jobs
    ".azurite/__azurite_db_table__.json",
    ".bench/results.json",
    ".hypothesis/examples/x",
    ".mypy_cache/3.13/x.json",
    ".publish/function_app.py",
    ".venv/lib/python3.13/site-packages/x.py",
    ".venv-azure-cli/lib/python3.13/site-packages/x.py",
    "__pycache__/function_app.cpython-313.pyc",
)
BELOW = (
    "dev/node/node_modules/azurite/package.json",
    "docs/customers.xlsx",
    "infra/parameters.json",
    "policy_store/.env",
    "policy_store/.mypy_cache/3.13/x.json",
    "policy_store/__pycache__/x.pyc",
    "policy_store/contoso.pfx",
    "policy_store/export.csv",
    "policy_store/my notes.docx",
    "policy_store/policies.json",
    "policy_store/row.py.bak",
    "policy_store/sites/contoso.com/mta-sts.txt",
)
NOT_TO_BE_TOLD_FROM_OURS = (
    "policy_store/copy_store.py",
    "policy_store/old copy/row.py",
    "docs/notes.md",
    "infra/contoso.bicep",
)
"""By their names these could be files of the project: git sees them, but they do not ship."""


def plant(folder: Path) -> None:
    """Put all of it into `folder`, a checkout. What is there already stays as it is."""
    for path in (*AT_THE_TOP, *BELOW, *NOT_TO_BE_TOLD_FROM_OURS):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        if not (folder / path).exists():
            (folder / path).write_text("a person's\n", encoding="utf-8")


if __name__ == "__main__":
    plant(Path())
