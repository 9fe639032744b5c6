"""What an error means to the person at the terminal, and which exit code it has."""

DONE, PROBLEM, WRONG_USE, UNREACHABLE = 0, 1, 2, 3  # exit codes


class CommandError(Exception):
    """The command ends here: one sentence with the next step, and the exit code."""

    def __init__(self, message: str, code: int = WRONG_USE) -> None:
        super().__init__(message)
        self.code = code


def explained(error: Exception) -> tuple[str, int]:
    """The sentence for an error, and the exit code."""
    if isinstance(error, CommandError):
        return str(error), error.code
    if isinstance(error, ValueError) and type(error).__module__.startswith("policy_store."):
        return f"{str(error).removesuffix('.')}.", WRONG_USE  # what is wrong with the input, as its reader says it

    from azure.core.exceptions import AzureError

    from policy_store.changes.selection import NoMatch
    from policy_store.tables.store import storage_problem

    if isinstance(error, NoMatch):
        return f"{error}.", PROBLEM
    if isinstance(error, AzureError):
        message, remedy = storage_problem(error)
        return f"{message[0].upper()}{message[1:]}: {remedy}.", UNREACHABLE
    sentence = " ".join(str(error).split())[:300]
    return f"An error that nobody expected, {type(error).__name__}: {sentence}. Please report it.", PROBLEM
