"""Names that are nearly right: whether one slip of a finger lies between two, and which known name was meant."""

from collections.abc import Iterable


def one_letter_away(one: str, other: str) -> bool:
    """Whether a letter too many, one too few, a wrong one or two that changed places is all the difference."""
    at = 0
    while one[at : at + 1] == other[at : at + 1] != "":
        at += 1
    one, other = one[at:], other[at:]
    while one and other and one[-1] == other[-1]:
        one, other = one[:-1], other[:-1]
    if one == other:
        return False
    return max(len(one), len(other)) == 1 or (len(one) == 2 and one == other[::-1])


def meant(name: str, known: Iterable[str]) -> str | None:
    """The known name that is one letter away from `name`, for "did you mean"; None where none or several are."""
    near = {other for other in known if one_letter_away(name, other)}
    return near.pop() if len(near) == 1 else None
