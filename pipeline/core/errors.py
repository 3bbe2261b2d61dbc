"""Errors that a user can fix: what happened, what to do next, and the exit code that the command line returns."""

import difflib
from collections.abc import Iterable


class InkproofError(Exception):
    """One line for a person: `message` says what happened, `hint` what to type or change next."""

    exit_code = 3

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class AnswerNo(InkproofError):
    """The command worked and the answer is no (a failed check, a run that waits for photographs)."""

    exit_code = 1


class WrongUse(InkproofError):
    """The command line or the experiment file asks for something that does not exist."""

    exit_code = 2


class BadInput(InkproofError):
    """A file or a folder that the user gave cannot be used."""

    exit_code = 3


class Unavailable(InkproofError):
    """This machine lacks something: an optional package, a device, room on the disk."""

    exit_code = 4


def near_match(word: str, choices: Iterable[object]) -> str:
    """Returns a hint that names the nearest choice, or all of them where none is near."""
    choices = sorted(map(str, choices))
    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    return f'Did you mean "{close[0]}"?' if close else f"Known: {', '.join(choices)}."
