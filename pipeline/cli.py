"""The command line: parse, call one stage, print. The only module that prints or exits; heavy imports stay inside commands."""

import argparse
import dataclasses
import errno
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from pipeline.errors import BadInput, InkproofError, Unavailable, WrongUse
from pipeline.executor import BLAS_THREADS
from pipeline.version import VERSION

STAGE_HELP = {
    "select": ("draw the images of every cell", "inkproof select my.toml --set selection.n_images=12"),
    "generate": ("attack the drawn images and save the 8-bit results", "inkproof generate my.toml --workers 2"),
    "layout": ("lay the pairs out with QR codes on printable pages", "inkproof layout my.toml --set layout.paper=Letter"),
    "photograph": (
        "photograph the pages with the simulated printer and phone",
        "inkproof photograph my.toml --set photograph.by=simulator",
    ),
    "crop": ("find the pages in the photos and crop every image", "inkproof crop my.toml --set capture.strict=true"),
    "transform": (
        "apply blur, noise, JPEG, brightness and contrast",
        "inkproof transform my.toml --set 'transforms.blur=[1, 2]'",
    ),
    "classify": ("ask the model about every file, transform and crop", "inkproof classify my.toml --device cuda"),
    "rate": ("count accuracies and destruction rates", "inkproof rate my.toml --json"),
    "report": ("write the PDF report", 'inkproof report my.toml --set report.title="Our office printer"'),
}
COMMANDS = (
    "init",
    *STAGE_HELP,
    "run",
    "status",
    "demo",
    "calibrate",
    "import-predictions",
    "transfer",
    "attack-table",
    "list",
    "doctor",
)
MOST_WORKERS = 8
MOST_NOTES = 12
KINDS = ("models", "datasets", "attacks", "transforms", "profiles")
EPILOG = """examples:
  inkproof demo                       a whole experiment with simulated photographs, in about two minutes
  inkproof init my.toml               write a commented experiment file
  inkproof run my.toml                every stage that can run; stops where you print and photograph
  inkproof status my.toml             what is done, stale (and why), missing, or waiting for you
  inkproof list attacks               what there is to choose from

exit codes: 0 done, or as far as it gets without you · 1 the answer is no · 2 wrong use · 3 bad input
            4 something is missing here · 130 interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in arguments
    os.environ.setdefault(BLAS_THREADS, "1")
    try:
        options = _parser().parse_args(arguments)
        result, code = options.command(options)
        _print_json(result) if as_json else _print_text(result, options.quiet)
        return code
    except InkproofError as error:
        return _fail(error, as_json, _is_verbose(arguments))
    except KeyboardInterrupt:
        print("interrupted; type the same command again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError:
        return _fail(Unavailable("Not enough memory.", "Use fewer --workers or a smaller input_px."), as_json, False)
    except RuntimeError as error:
        if "allocate memory" not in str(error) and "out of memory" not in str(error):
            raise
        advice = "Use a smaller model.input_px or fewer --workers."
        return _fail(Unavailable("Not enough memory.", advice), as_json, _is_verbose(arguments))
    except OSError as error:
        return _fail(_os_error(error), as_json, _is_verbose(arguments))


def _is_verbose(arguments: Sequence[str]) -> bool:
    """Returns whether a person asked for details, also where the command line could not be parsed."""
    return "-v" in arguments or "--verbose" in arguments


def _os_error(error: OSError) -> InkproofError:
    place = f"{error.filename}: " if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Unavailable(f"{place}the disk is full.", "Make room and type the same command again: nothing is lost.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return Unavailable(f"{place}not allowed to write or read there.", "Choose another place with --workspace DIR.")
    return BadInput(f"{place}{error.strerror or error}.")


def _fail(error: InkproofError, as_json: bool, verbose: bool) -> int:
    if verbose:
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    if as_json:
        _print_json({"error": error.message, "hint": error.hint, "exit_code": error.exit_code})
    print(f"inkproof: {error}", file=sys.stderr)
    return error.exit_code


class _Parser(argparse.ArgumentParser):
    """Reports wrong use as one line, with the nearest command."""

    def error(self, message: str) -> NoReturn:
        from pipeline.errors import near_match

        hint = f"See: {self.prog} --help"
        if "invalid choice" in message and "'" in message:
            word = message.split("'")[1]
            hint = near_match(word, COMMANDS if self.prog == "inkproof" else KINDS)
        raise WrongUse(f"{message}.", hint)


def _parser() -> argparse.ArgumentParser:
    text = argparse.RawDescriptionHelpFormatter
    parser = _Parser(
        prog="inkproof",
        description="Does an adversarial attack survive ink, paper and a camera?",
        epilog=EPILOG,
        formatter_class=text,
    )
    parser.add_argument("--version", action="version", version=f"inkproof {VERSION}")
    commands = parser.add_subparsers(title="commands, in the order of the flow", metavar="COMMAND", required=True)
    shared = _shared_options()

    def add(
        name: str, command: Callable[..., Any], summary: str, example: str, experiment: bool = True
    ) -> argparse.ArgumentParser:
        entry = commands.add_parser(
            name, help=summary, description=summary, epilog=f"example:\n  {example}", formatter_class=text, parents=[shared]
        )
        entry.set_defaults(command=command, name=name)
        if experiment:
            entry.add_argument("experiment", metavar="EXPERIMENT", help="a TOML file, or the name of a run in this workspace")
        return entry

    init = add(
        "init", _init, "write a commented experiment file", "inkproof init my.toml --template kurakin2016", experiment=False
    )
    init.add_argument("file", nargs="?", default="experiment.toml", help="the file to write (default: experiment.toml)")
    init.add_argument("--template", default="demo", help="demo, eot, kurakin2016, kurakin2016-small, nexus5x or patch (default: demo)")
    for stage, (summary, example) in STAGE_HELP.items():
        add(stage, _stage, summary, example)
    add(
        "run", _run, "run every stage that can run; stops at the human step and goes on when called again", "inkproof run my.toml"
    )
    add("status", _status, "each stage: done, stale because …, missing, or waiting for you", "inkproof status my.toml --json")
    add("demo", _demo, "run the built-in experiment with simulated photographs", "inkproof demo", experiment=False)
    fitter = add(
        "calibrate",
        _calibrate,
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
        _import_predictions,
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
        _transfer,
        "the error of every run's model on every run's adversarial files (Szegedy et al., Table 2)",
        "inkproof transfer one.toml other.toml",
        experiment=False,
    )
    matrix.add_argument("experiments", nargs="+", metavar="EXPERIMENT", help="TOML files, or names of runs; two make sense")
    tabler = add(
        "attack-table",
        _attack_table,
        "success and mean distance of attacks for the best, the average and the worst target (Carlini and Wagner)",
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
        "list", _list, "list models, datasets, attacks, transforms or profiles", "inkproof list attacks", experiment=False
    )
    chooser.add_argument("kind", nargs="?", choices=KINDS, help="one of: " + ", ".join(KINDS))
    add("doctor", _doctor, "what works on this machine, and what to install", "inkproof doctor", experiment=False)
    return parser


def _shared_options() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
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


def _init(options: argparse.Namespace) -> tuple[Any, int]:
    from pipeline.errors import near_match
    from pipeline.store import write_bytes

    templates = {path.stem: path for path in sorted(_templates().glob("*.toml"))}
    if options.template not in templates:
        raise WrongUse(f'there is no template "{options.template}".', near_match(options.template, templates))
    file = Path(options.file)
    if file.exists() and not options.force:
        raise BadInput(f"{file} is there already.", "Choose another name, or write over it with --force.")
    if not options.dry_run:
        name = f'name = "{_run_name(file.stem)}"'
        text = templates[options.template].read_text(encoding="utf-8").replace(f'name = "{options.template}"', name, 1)
        write_bytes(file, text.encode())
    return {"wrote": str(file), "template": options.template, "next": shlex.join(["inkproof", "run", str(file)])}, 0


def _run_name(stem: str) -> str:
    """Returns a name that a folder of a run can have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("._-") or "experiment"


def _stage(options: argparse.Namespace) -> tuple[Any, int]:
    from pipeline.flow import run_stage

    experiment, run, context = _opened(options)
    if options.dry_run:
        return _dry_run(experiment, run, options.name, options.force), 0
    state = run_stage(options.name, experiment, run, context, options.force)
    following = list(STAGE_HELP)[list(STAGE_HELP).index(options.name) + 1 :]
    advice = f"inkproof {following[0] if following else 'status'} {experiment.words}"
    table = {"table": _rate_table(run)} if options.name == "rate" and not options.json else {}
    return {"stages": [_told(state, run)], **table, "next": advice}, 0


def _rate_table(run: Any) -> str:
    """Returns the destruction rates by photographs in the form of the paper's Table 3."""
    from pipeline.records import RateRow
    from pipeline.reporting.tables import as_text, photo_rate_table
    from pipeline.store import read_json, record_from

    rows = [record_from(RateRow, row) for row in read_json(run.reports / "rates.json")["destruction_rates"]]
    origins = sorted({row.origin for row in rows if row.transform == "photo"})
    tables = [as_text(photo_rate_table(rows, origin=origin)) for origin in origins]
    if len(origins) > 1:  # real and simulated photographs are never pooled
        tables = [f"Photographs by {origin}:\n{table}" for origin, table in zip(origins, tables, strict=True)]
    return "\n" + "\n\n".join(tables) + "\n" if tables else "\nNo photograph has been judged yet.\n"


def _run(options: argparse.Namespace) -> tuple[Any, int]:
    experiment, run, context = _opened(options)
    return _run_experiment(experiment, run, context, options)


def _demo(options: argparse.Namespace) -> tuple[Any, int]:
    options.experiment = _templates() / "demo.toml"
    experiment, run, context = _opened(options)
    return _run_experiment(experiment, run, context, options)


def _run_experiment(experiment: Any, run: Any, context: Any, options: argparse.Namespace) -> tuple[Any, int]:
    from pipeline.flow import DONE, instructions, run_all

    if options.dry_run:
        return _dry_run(experiment, run, "", options.force), 0
    states = []
    for state in run_all(experiment, run, context, options.force):
        states.append(state)
        if not options.json and not options.quiet:
            print(_line(_told(state, run)), file=sys.stderr)
    result = {"run": experiment.name, "stages": [_told(state, run) for state in states]} if options.json else {}
    if any(state.stage == "report" and state.state == DONE for state in states):
        result |= {"headline": _headline(run), "report": str(run.reports / "report.pdf")}
    if waiting := [state.stage for state in states if state.state != DONE]:
        result |= {"waiting_for": waiting, "todo": instructions(experiment, run)}
    return result, 0


def _status(options: argparse.Namespace) -> tuple[Any, int]:
    from pipeline.flow import DONE, WAITING, instructions, status

    experiment, run, _ = _opened(options, check=False)
    states = status(experiment, run)
    result = {"run": experiment.name, "stages": [_told(state, run) for state in states]}
    if any(state.state == WAITING for state in states) and run.layout.is_file():
        result["todo"] = instructions(experiment, run)
    elif any(state.state != DONE for state in states):
        result["next"] = f"inkproof run {experiment.words}"
    return result, 0


def _calibrate(options: argparse.Namespace) -> tuple[Any, int]:
    from pipeline.calibration.command import calibrate_files, parameters_text, write_page

    output = Path(options.output)
    if options.page:
        if options.photos:
            raise WrongUse("--page writes the page to print; photos of it come later.", "Leave out one of the two.")
        if not options.dry_run:
            write_page(Path(options.page), options.paper, options.orientation, options.force)
        return {"wrote": options.page, "next": "print it at 100 %, photograph it, then: inkproof calibrate PHOTO"}, 0
    if not options.photos:
        hint = "Print the page (inkproof calibrate --page calibration.pdf), photograph it, and name the photos."
        raise WrongUse("There is no photo to calibrate from.", hint)
    if output.suffix != ".toml":
        raise WrongUse(f"--output {output}: a profile's name ends in .toml.")
    if options.dry_run:
        because = f"{len(options.photos)} photos, {output} and {output.with_suffix('.pdf')} would be written"
        return {"would_run": [{"stage": "calibrate", "because": because}]}, 0
    quiet = options.quiet or options.json
    fitted = calibrate_files(
        [Path(photo) for photo in options.photos],
        options.base,
        output,
        options.force,
        lambda what: None if quiet else print(f"fitting {what}", file=sys.stderr),
    )
    told = {"parameters": fitted.parameters, "notes": fitted.notes} if options.json else {"table": parameters_text(fitted)}
    advice = shlex.join(["inkproof", "run", "EXPERIMENT", "--set", f"photograph.profile={output}"])
    return {**told, "wrote": str(output), "report": str(output.with_suffix(".pdf")), "next": advice}, 0


def _import_predictions(options: argparse.Namespace) -> tuple[Any, int]:
    from pipeline.flow import check_done
    from pipeline.judging.command import import_predictions, import_text, make_template

    experiment, run, _ = _opened(options)
    check_done("generate", experiment, run)
    if options.template:
        if options.file or options.judge:
            raise WrongUse("--template writes the table to fill in; it is imported later.", "Leave out FILE.csv and --judge.")
        n_images = make_template(run, Path(options.template), options.force, options.dry_run)
        advice = f"inkproof import-predictions {experiment.words} {shlex.quote(options.template)} --judge NAME"
        return {"n_images": n_images, "wrote": options.template, "next": f"fill in the labels, then: {advice}"}, 0
    if not options.file or not options.judge:
        raise WrongUse("A file and --judge NAME are needed.", "Or write a table to fill in: --template FILE.csv")
    told = import_predictions(
        experiment, run, Path(options.file), options.judge, options.keep_going, options.force, options.dry_run
    )
    return (told if options.json else {"table": import_text(told)}) | {"next": f"inkproof run {experiment.words}"}, 0


def _transfer(options: argparse.Namespace) -> tuple[Any, int]:
    from pipeline.flow import check_done
    from pipeline.judging.command import matrix_text, write_matrix

    opened = [_opened(argparse.Namespace(**{**vars(options), "experiment": name})) for name in options.experiments]
    for experiment, run, _ in opened:
        check_done("generate", experiment, run)
    if options.dry_run:
        because = f"{len(opened)} models would judge the files of {len(opened)} runs"
        return {"would_run": [{"stage": "transfer", "because": because}]}, 0
    cells, path = write_matrix([(experiment, run) for experiment, run, _ in opened], opened[0][2])
    told = {"cells": cells} if options.json else {"table": matrix_text(cells)}
    return {**told, "wrote": str(path)}, 0


def _attack_table(options: argparse.Namespace) -> tuple[Any, int]:
    from pipeline.attack_table.command import TableRequest, attack_table, chosen_attacks, described

    experiment, run, context = _opened(options)
    names = tuple(name.strip() for name in options.attacks.split(",") if name.strip())
    request = TableRequest(options.table, names, options.n_images, options.n_targets, options.max_epsilon)
    if options.dry_run:
        return {"would_run": [described(request, chosen_attacks(experiment, request))]}, 0
    output = Path(options.output) if options.output else None
    made = attack_table(experiment, run, context, request, output, options.force)
    if options.json:
        return {"rows": made.rows, "wrote": str(made.csv), "latex": str(made.latex)}, 0
    return {"table": made.text, "wrote": f"{made.csv} and {made.latex.name}"}, 0


def _list(options: argparse.Namespace) -> tuple[Any, int]:
    from pipeline.catalogue import listed

    return {kind: listed(kind) for kind in ([options.kind] if options.kind else KINDS)}, 0


def _doctor(options: argparse.Namespace) -> tuple[Any, int]:
    from pipeline.doctor import examine

    checks = examine(options.workspace)
    broken = [check for check in checks if check.needed and not check.works]
    return {"checks": checks, "ready": not broken}, 4 if broken else 0


def _opened(options: argparse.Namespace, check: bool = True) -> tuple[Any, Any, Any]:
    from pipeline.catalogue import check_names
    from pipeline.config import load_experiment
    from pipeline.executor import Context, silent
    from pipeline.store import Run

    if options.seed is not None and options.seed < 0:
        raise WrongUse(f"--seed {options.seed}: expected 0 or more.")
    if options.workers < 0:
        raise WrongUse(f"--workers {options.workers}: expected 1 or more.")
    path = Path(options.experiment)
    by_name = options.workspace / "printouts" / str(options.experiment) / "experiment.toml"
    if not path.is_file() and by_name.is_file():
        path = by_name
    flags = [] if options.seed is None else ["--seed", str(options.seed)]
    flags += [] if options.workspace == Path(".") else ["--workspace", str(options.workspace)]
    experiment = load_experiment(path, tuple(options.set), options.seed, tuple(flags))
    check_names(experiment)
    if check:
        _check_device(options.device)
    shows = sys.stderr.isatty() and not options.quiet and not options.json
    context = Context(options.device, options.workers or min(os.cpu_count() or 1, MOST_WORKERS), _bars if shows else silent)
    return experiment, Run(options.workspace, experiment.name), context


def _check_device(device: str) -> None:
    if device == "cpu":
        return
    import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise Unavailable(f"--device {device}: {str(error).splitlines()[0]}.", "Use --device cpu.") from None


def _dry_run(experiment: Any, run: Any, only: str, force: bool) -> dict[str, Any]:
    from pipeline.flow import what_would_run

    states = what_would_run(experiment, run, only, force)
    return {"would_run": [{"stage": state.stage, "because": state.reason or state.state} for state in states]}


def _headline(run: Any) -> list[str]:
    """Returns the sentences that matter, from the counts on disk."""
    from pipeline.store import read_stage_record

    record = read_stage_record(run.reports, "report")
    return list(record.summary.get("headline", [])) if record else []


def _told(state: Any, run: Any) -> dict[str, Any]:
    notes = state.summary.get("notes", [])
    counts = {key: value for key, value in state.summary.items() if key not in ("notes", "headline")}
    return {"stage": state.stage, "state": state.state, "reason": state.reason, "counts": counts, "notes": notes}


def _line(told: dict[str, Any]) -> str:
    mark = {"done": "✓", "waiting": "…", "stale": "!", "missing": "·"}[told["state"]]
    counts = ", ".join(
        f"{_shown(value)} {key.removeprefix('n_').replace('_', ' ')}"
        for key, value in told["counts"].items()
        if key.startswith("n_")
    )
    text = f"{mark} {told['stage']:<10} {told['state']:<8} {told['reason'] or counts}".rstrip()
    notes = told["notes"] if len(told["notes"]) <= MOST_NOTES else [*told["notes"][:MOST_NOTES], _more(told)]
    return "\n".join([text, *(f"             {note}" for note in notes)])


def _more(told: dict[str, Any]) -> str:
    return f"… and {len(told['notes']) - MOST_NOTES} more: all of them with inkproof status EXPERIMENT --json"


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _bars(items: Iterable[Any], total: int, label: str) -> Iterator[Any]:
    from tqdm import tqdm

    return iter(tqdm(items, total=total, desc=label, leave=False, file=sys.stderr, dynamic_ncols=True))


def _templates() -> Path:
    packaged = Path(__file__).parent / "examples"
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "examples"


def _print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=1, default=dataclasses.asdict))


def _print_text(result: dict[str, Any], quiet: bool) -> None:
    for key, value in result.items():
        if quiet and key == "next":
            continue
        if key == "stages":
            print("\n".join(_line(told) for told in value))
        elif key == "checks":
            print("\n".join(check.line for check in value))
        elif key in ("todo", "report", "next", "wrote"):
            words = {"todo": "\nWaiting for you:\n", "report": "\nReport: ", "next": "Next: ", "wrote": "Wrote "}
            print(words[key] + str(value))
        elif key == "table":
            print(value)
        elif key == "headline":
            print("\n" + "\n".join(f"- {line}" for line in value))
        elif key == "would_run":
            print("\n".join(f"would run {step['stage']}: {step['because']}" for step in value) or "nothing to do")
        elif key in KINDS:
            width = max(len(name) for name, _ in value)
            print(f"{key}\n" + "\n".join(f"  {name:<{width}}  {summary}" for name, summary in value))
