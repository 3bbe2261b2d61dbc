"""The parser of every command; the commands with their help and options stand in commands.toml."""

import argparse
import tomllib
from pathlib import Path
from typing import Any, NoReturn

from pipeline.cli.workspace import place
from pipeline.core.errors import WrongUse, near_match
from pipeline.core.version import VERSION

_ENTRIES: dict[str, dict[str, Any]] = tomllib.loads((Path(__file__).parent / "commands.toml").read_text(encoding="utf-8"))
_SHARED = "options of every command"
_TYPES = {"int": int, "float": float, "place": place}
COMMANDS = tuple(name for name in _ENTRIES if name != _SHARED)
KINDS = tuple(_ENTRIES["list"]["options"]["kind"]["choices"])
EPILOG = """examples:
  inkproof demo                       a whole experiment with simulated photographs, in about two minutes
  inkproof init my.toml --camera      write a commented experiment file, for your printer and phone
  inkproof run my.toml                every stage that can run; stops where you print and photograph
  inkproof status my.toml             what is done, stale (and why), missing, or waiting for you
  inkproof list attacks               what there is to choose from

exit codes: 0 done · 1 the answer is no · 2 wrong use · 3 bad input · 4 something is missing here
            5 waiting for you: pages are to be photographed · 6 the run is unfinished or stale · 130 interrupted
documents:  inkproof doctor says where they lie · log of a run: reports/RUN/inkproof.log
"""


def command_parser() -> argparse.ArgumentParser:
    """Returns the parser of every command; `command` is its function, as "module:function" of the program."""
    text = argparse.RawDescriptionHelpFormatter
    parser = _Parser(
        prog="inkproof",
        description="Does an adversarial attack survive ink, paper and a camera?",
        epilog=EPILOG,
        formatter_class=text,
    )
    parser.add_argument("--version", action="version", version=f"inkproof {VERSION}")
    entries = parser.add_subparsers(title="commands, in the order of the flow", metavar="COMMAND", required=True)
    shared = _Parser(add_help=False)
    _add_options(shared.add_argument_group(_SHARED), _ENTRIES[_SHARED])
    for name in COMMANDS:
        told = _ENTRIES[name]
        epilog = f"example:\n  {told['example']}"
        does = told["does"]
        entry = entries.add_parser(name, help=does, description=does, epilog=epilog, formatter_class=text, parents=[shared])
        uses = told.get("workspace", "writes")
        entry.set_defaults(command=f"pipeline.cli.{told['function']}", name=name, uses_workspace=uses)
        if told.get("about_an_experiment", True):
            entry.add_argument("experiment", metavar="EXPERIMENT", help="a TOML file, or the name of a run in this workspace")
        _add_options(entry, told)
    return parser


def _add_options(group: argparse._ActionsContainer, told: dict[str, Any]) -> None:
    for names, about in told.get("options", {}).items():
        kind = {"type": _TYPES[about["type"]]} if "type" in about else {}
        group.add_argument(*names.split(), **about | kind)


class _Parser(argparse.ArgumentParser):
    """Reports wrong use as one line, with the nearest command."""

    def error(self, message: str) -> NoReturn:
        hint = f"See: {self.prog} --help"
        if "invalid choice" in message and "'" in message:
            message, _, listed = message.partition(" (choose from ")
            choices = [choice.strip("'") for choice in listed.removesuffix(")").split(", ")]
            hint = near_match(message.split("'")[1], choices)
        raise WrongUse(f"{message}.", hint)
