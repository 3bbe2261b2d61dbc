"""Errors that a user can fix: what happened, what to do next, and the exit code that the command line returns."""

import contextlib
import difflib
from collections.abc import Iterable, Iterator

MOST_NAMED = 40


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
    """The command worked and the answer is no (a failed check)."""

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


class Waiting(InkproofError):
    """All is well, and it is a person's turn: pages are to be printed and photographed."""

    exit_code = 5


class NotFinished(InkproofError):
    """A command needs a whole run, and this one is unfinished or stale."""

    exit_code = 6


@contextlib.contextmanager
def placed(where: str) -> Iterator[None]:
    """Puts a place, such as `file:line`, before the message of an error that is raised inside; "" puts nothing."""
    try:
        yield
    except InkproofError as error:
        if not where:
            raise
        raise type(error)(f"{where}: {error.message}", error.hint) from error


def in_a_line(error: Exception) -> str:
    """Returns what any error says, as one line without a full stop."""
    said = (str(error).strip().splitlines() or [""])[0].rstrip(".")
    if isinstance(error, InkproofError) and said:
        return said
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def nearest(word: str, choices: Iterable[object], cutoff: float = 0.5) -> str:
    """Returns the choice that a word was most likely meant to be, "" where none is near."""
    close = difflib.get_close_matches(word, sorted(map(str, choices)), n=1, cutoff=cutoff)
    return close[0] if close else ""


def near_match(word: str, choices: Iterable[object]) -> str:
    """Returns a hint that names the nearest choice, or all of them where none is near: of very many the first."""
    known = sorted(set(map(str, choices)))
    if close := nearest(word, known):
        return f'Did you mean "{close}"?'
    more = f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
    return f"Known: {', '.join(known[:MOST_NAMED])}{more}."
