"""The command line: parse, call one stage, print. The only room that prints or exits; heavy imports stay inside commands."""

import errno
import os
import sys
import warnings
from collections.abc import Sequence

from pipeline.cli.parser import COMMANDS, command_parser
from pipeline.cli.run_log import RunLog
from pipeline.cli.telling import logged, print_json, print_text
from pipeline.cli.workspace import workspace_here
from pipeline.core.cores import settle_threads
from pipeline.core.errors import BadInput, InkproofError, Unavailable
from pipeline.core.memory import keep_freed_memory
from pipeline.core.progress import Display
from pipeline.core.registry import load

MOST_NAME = 200


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in arguments
    settle_threads()
    keep_freed_memory()
    log = RunLog(arguments)
    with warnings.catch_warnings():
        log.catch_warnings()
        code = _run(arguments, as_json, log)
    log.add(f"exit code {code}")
    return code


def _run(arguments: Sequence[str], as_json: bool, log: RunLog) -> int:
    try:
        options = command_parser().parse_args(arguments)
        options.log = log
        display = Display(sys.stderr, shows=not (options.quiet or as_json), noted=log.add)
        with display as options.display, workspace_here(options):
            result, code = load(options.command)(options)
        log.add("\n".join(logged(result)))
        print_json(result) if as_json else print_text(result, options.quiet)
        return code
    except Exception as error:
        log.add_error(error)
        return _told(error, as_json, _is_verbose(arguments))
    except KeyboardInterrupt:
        log.add("interrupted")
        print("interrupted; type the same command again to go on", file=sys.stderr)
        return 130


def _told(error: Exception, as_json: bool, verbose: bool) -> int:
    """Says what went wrong, as far as it is something to be said, and returns the exit code; raises what is a fault of ours."""
    match error:
        case InkproofError():
            return _fail(error, as_json, verbose)
        case BrokenPipeError():
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        case MemoryError():
            return _fail(Unavailable("Not enough memory.", "Use fewer --workers or a smaller input_px."), as_json, False)
        case RuntimeError() if "allocate memory" in str(error) or "out of memory" in str(error):
            advice = "Use a smaller model.input_px or fewer --workers."
            return _fail(Unavailable("Not enough memory.", advice), as_json, verbose)
        case OSError():
            return _fail(_os_error(error), as_json, verbose)
    raise error


def _is_verbose(arguments: Sequence[str]) -> bool:
    """Returns whether a person asked for details, also where the command line could not be parsed."""
    return "-v" in arguments or "--verbose" in arguments


_ROOM = "Make room and type the same command again: nothing is lost."
_PLACE = "Choose another place with --workspace DIR."
# What the system's errors are to a person, and what to do about them.
_UNAVAILABLE = {
    errno.ENOSPC: ("the disk is full", _ROOM),
    errno.EDQUOT: ("your share of the disk is full", _ROOM),
    errno.EFBIG: ("the file would become larger than is allowed here", _PLACE),
    errno.EACCES: ("not allowed to write or read there", _PLACE),
    errno.EPERM: ("not allowed to write or read there", _PLACE),
    errno.EROFS: ("nothing can be written there", _PLACE),
    errno.EMFILE: ("too many files are open", "Use fewer --workers, or allow more with: ulimit -n 4096"),
    errno.EIO: ("the disk or its connection fails", "Check it, and type the same command again."),
}
_BAD_INPUT = {
    errno.ENOENT: "there is no such file or folder",
    errno.EISDIR: "is a folder where a file is needed",
    errno.ENOTDIR: "a file stands where a folder is needed",
    errno.EEXIST: "is there already",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ELOOP: "links lead in a circle",
}


def _os_error(error: OSError) -> InkproofError:
    number = error.errno or (errno.ENOENT if isinstance(error, FileNotFoundError) else 0)
    # libraries raise it with a name alone
    name = shortened_name(str(error.filename or ("" if error.errno else error)))
    place = f"{name}: " if name else ""
    if number in _UNAVAILABLE:
        what, hint = _UNAVAILABLE[number]
        return Unavailable(f"{place}{what}.", hint)
    what = _BAD_INPUT.get(number) or (error.strerror or "it cannot be read or written").lower()
    return BadInput(f"{place}{what}.")


def shortened_name(name: str) -> str:
    """Returns a path as a message names it, its end where it is long."""
    return name if len(name) <= MOST_NAME else f"…{name[-MOST_NAME:]}"


def _fail(error: InkproofError, as_json: bool, verbose: bool) -> int:
    if verbose:
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    if as_json:
        print_json({"error": error.message, "hint": error.hint, "exit_code": error.exit_code})
    print(f"inkproof: {error}", file=sys.stderr)
    return error.exit_code
