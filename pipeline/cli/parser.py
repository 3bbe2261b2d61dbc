"""The commands with their options and their help."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, Protocol

from pipeline.cli import commands, judging, reproduce
from pipeline.cli.commands import STAGE_HELP
from pipeline.cli.telling import KINDS
from pipeline.core.errors import WrongUse, near_match
from pipeline.core.version import VERSION

COMMANDS = (
    "init",
    *STAGE_HELP,
    "run",
    "status",
    "plan",
    "demo",
    "reproduce",
    "calibrate",
    "import-predictions",
    "transfer",
    "attack-table",
    "list",
    "doctor",
)
EPILOG = """examples:
  inkproof demo                       a whole experiment with simulated photographs, in about two minutes
  inkproof init my.toml               write a commented experiment file
  inkproof run my.toml                every stage that can run; stops where you print and photograph
  inkproof status my.toml             what is done, stale (and why), missing, or waiting for you
  inkproof list attacks               what there is to choose from

exit codes: 0 done, or as far as it gets without you · 1 the answer is no · 2 wrong use · 3 bad input
            4 something is missing here · 130 interrupted
"""


def command_parser() -> argparse.ArgumentParser:
    """Returns the parser of every command."""
    text = argparse.RawDescriptionHelpFormatter
    parser = _Parser(
        prog="inkproof",
        description="Does an adversarial attack survive ink, paper and a camera?",
        epilog=EPILOG,
        formatter_class=text,
    )
    parser.add_argument("--version", action="version", version=f"inkproof {VERSION}")
    entries = parser.add_subparsers(title="commands, in the order of the flow", metavar="COMMAND", required=True)
    shared = _shared_options()

    def add(name: str, command: Callable[..., Any], summary: str, example: str, experiment: bool = True) -> _Parser:
        epilog = f"example:\n  {example}"
        entry = entries.add_parser(name, help=summary, description=summary, epilog=epilog, formatter_class=text, parents=[shared])
        entry.set_defaults(command=command, name=name)
        if experiment:
            entry.add_argument("experiment", metavar="EXPERIMENT", help="a TOML file, or the name of a run in this workspace")
        return entry

    for group in (_add_stages, _add_runs, _add_calibration_and_judges, _add_tables_and_lists):
        group(add)
    return parser


def _add_stages(add: "_Adder") -> None:
    init = add(
        "init",
        commands.init,
        "write a commented experiment file",
        "inkproof init my.toml --template patch",
        experiment=False,
    )
    init.add_argument("file", nargs="?", default="experiment.toml", help="the file to write (default: experiment.toml)")
    init.add_argument("--template", default="demo", help="attacks, demo, eot, nexus5x, patch, sample, or the name of a study")
    for stage, (summary, example) in STAGE_HELP.items():
        entry = add(stage, commands.stage, summary, example)
        if stage == "report":
            entry.add_argument("--compare", metavar="OTHER", help="set another run beside it: its TOML file, name or folder")


def _add_runs(add: "_Adder") -> None:
    runner = add(
        "run",
        commands.run,
        "run every stage that can run; stops at the human step and goes on when called again",
        "inkproof run my.toml",
    )
    looker = add(
        "status",
        commands.status,
        "each stage: done, stale because …, missing, or waiting for you",
        "inkproof status my.toml --json",
    )
    planner = add(
        "plan",
        commands.plan,
        "before printing: pages, ink, time, how wide the intervals will be, and what to drop",
        "inkproof plan my.toml --set layout.pairs_per_page=6",
    )
    for name, default, meaning in (
        ("seconds-per-page", 15.0, "time to photograph a page"),
        ("clean-accuracy", 0.75, "of random images, those that the model gets right, where that is not known yet"),
        ("fooled-rate", 0.8, "of these, those that an attack fools it on, where that is not known yet"),
        ("rate", 0.5, "destruction rate that the intervals are told for, where none was measured; 0.5 is the worst case"),
        ("page-correlation", 0.1, "correlation of two images on one page, 0 to 1"),
        ("darkness", 0.5, "of the images, 1 for black, where they are not drawn yet"),
        ("half-width", 0.1, "half the interval that is wished for in every cell"),
    ):
        planner.add_argument(f"--{name}", type=float, default=default, metavar="X", help=f"{meaning} (default: {default:g})")
    demo = add("demo", commands.demo, "run the built-in experiment with simulated photographs", "inkproof demo", experiment=False)
    repeater = add(
        "reproduce",
        reproduce.reproduce,
        "run a paper's experiment, and set its tables beside this run's with which of its findings hold",
        "inkproof reproduce                     list the studies\n  inkproof reproduce STUDY --small",
        experiment=False,
    )
    repeater.add_argument("study", nargs="?", default="", metavar="STUDY", help="one of those listed without it")
    repeater.add_argument("--small", action="store_true", help="the small variant of the experiment")
    for checker in (runner, looker, demo, repeater):
        checker.add_argument("--verify", action="store_true", help="read every file again, also those that look unchanged")
    repeater.add_argument(
        "--photos",
        choices=("any", "me", "simulated"),
        default="any",
        help="me: those that you take; simulated; any: yours if there are some, else simulated (default: any)",
    )


def _add_calibration_and_judges(add: "_Adder") -> None:
    fitter = add(
        "calibrate",
        commands.calibrate,
        "fit a profile to your printer and phone from photos of the calibration page",
        "inkproof calibrate IMG_1.jpg IMG_2.jpg IMG_3.jpg --output my-printer.toml\n"
        "  inkproof calibrate --page calibration.pdf --paper Letter      the page alone, to print",
        experiment=False,
    )
    fitter.add_argument("photos", nargs="*", metavar="PHOTO", help="photos of the printed calibration page; three are better")
    fitter.add_argument("--base", default="office-phone", metavar="NAME", help="profile of all that photos cannot tell")
    fitter.add_argument(
        "--output", default="printer-and-phone.toml", metavar="FILE", help="the profile to write; a report goes beside it as .pdf"
    )
    fitter.add_argument("--page", metavar="FILE", help="write the calibration page as a PDF, and nothing else")
    fitter.add_argument("--paper", default="A4", help="of --page: A4, A3 or Letter (default: A4)")
    fitter.add_argument("--orientation", default="portrait", help="of --page: portrait or landscape (default: portrait)")
    importer = add(
        "import-predictions",
        judging.import_predictions,
        "bring in labels that an app or a person read off, as one more judge",
        "inkproof import-predictions my.toml phone.csv --judge phone-app\n"
        "  inkproof import-predictions my.toml --template phone.csv      every printed image, to fill in by hand",
    )
    importer.add_argument("file", nargs="?", metavar="FILE.csv", help="one row an image; the columns are in docs/transfer.md")
    importer.add_argument("--judge", default="", metavar="NAME", help="what who or whatever said it is called")
    importer.add_argument("--keep-going", action="store_true", help="leave rows out that cannot be understood")
    importer.add_argument("--template", metavar="FILE.csv", help="write a table to fill in, in printed order, and nothing else")
    matrix = add(
        "transfer",
        judging.transfer,
        "the error of every run's model on every run's adversarial files",
        "inkproof transfer one.toml other.toml",
        experiment=False,
    )
    matrix.add_argument("experiments", nargs="+", metavar="EXPERIMENT", help="TOML files, or names of runs; two make sense")


def _add_tables_and_lists(add: "_Adder") -> None:
    tabler = add(
        "attack-table",
        commands.attack_table,
        "success and mean distance of attacks for the best, the average and the worst target",
        "inkproof attack-table my.toml --attacks cw-l2,deepfool --n-images 20",
    )
    tabler.add_argument("--attacks", default="", metavar="NAMES", help="separated by commas (default: the experiment's)")
    tabler.add_argument(
        "--n-images", type=int, default=0, metavar="N", help="images that the model gets right (default: the file's)"
    )
    tabler.add_argument(
        "--table", default="IV", metavar="IV|V", help="IV: best, average, worst; V: untargeted, average, least likely"
    )
    tabler.add_argument(
        "--n-targets",
        type=int,
        default=0,
        metavar="K",
        help="random wrong classes for best and worst (default: all, at most 100)",
    )
    tabler.add_argument("--max-epsilon", type=int, default=64, metavar="E", help="largest epsilon that is tried (default: 64)")
    tabler.add_argument("--output", metavar="FILE.csv", help="where to write it; LaTeX goes beside it (default: reports/RUN/)")
    chooser = add(
        "list",
        commands.list_names,
        "list models, datasets, attacks, transforms or profiles",
        "inkproof list attacks",
        experiment=False,
    )
    chooser.add_argument("kind", nargs="?", choices=KINDS, help="one of: " + ", ".join(KINDS))
    add("doctor", commands.doctor, "what works on this machine, and what to install", "inkproof doctor", experiment=False)


class _Adder(Protocol):
    """Adds a command: its name, its function, what it does, an example, and whether it is about an experiment."""

    def __call__(
        self, name: str, command: Callable[..., Any], summary: str, example: str, experiment: bool = True
    ) -> "_Parser": ...


def _shared_options() -> "_Parser":
    shared = _Parser(add_help=False)
    group = shared.add_argument_group("options of every command")
    group.add_argument("--json", action="store_true", help="one JSON document on stdout, nothing else")
    group.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    group.add_argument("--force", action="store_true", help="do it again although it is done")
    group.add_argument("--seed", type=int, metavar="N", help="seed of every random draw (instead of the file's)")
    group.add_argument(
        "--device", default="cpu", metavar="NAME", help="where the model runs: cpu, cuda, cuda:1, mps (default: cpu)"
    )
    group.add_argument(
        "--workers", type=int, default=0, metavar="N", help="processes for images and photos (default: one a core, 8 at most)"
    )
    group.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a setting, e.g. selection.n_images=12"
    )
    group.add_argument(
        "--workspace", type=Path, default=Path("."), metavar="DIR", help="folder of printouts/, captures/ and reports/"
    )
    group.add_argument("-q", "--quiet", action="store_true", help="no progress, no next steps")
    group.add_argument("-v", "--verbose", action="store_true", help="the traceback of an error too")
    return shared


class _Parser(argparse.ArgumentParser):
    """Reports wrong use as one line, with the nearest command."""

    def error(self, message: str) -> NoReturn:
        hint = f"See: {self.prog} --help"
        if "invalid choice" in message and "'" in message:
            word = message.split("'")[1]
            hint = near_match(word, COMMANDS if self.prog == "inkproof" else KINDS)
        raise WrongUse(f"{message}.", hint)
