"""What each command does: it opens the experiment, calls one function of the house, and says what is shown."""

import argparse
import re
import shlex
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

from pipeline.cli.next_step import next_step, waiting_code
from pipeline.cli.numbers import run_numbers
from pipeline.cli.parser import KINDS
from pipeline.cli.telling import one_screen, stage_facts, stage_line
from pipeline.core.cores import n_cores
from pipeline.core.errors import AnswerNo, BadInput, Unavailable, Waiting, WrongUse
from pipeline.core.progress import duration

MOST_WORKERS, MOST_ASKED = 8, 256
# By the reason why most photos gave nothing.
_REFUSAL_CODES = {"no-reader": Unavailable.exit_code, "unreadable": BadInput.exit_code, "failed": BadInput.exit_code}


def init(options: argparse.Namespace) -> tuple[Any, int]:
    from pipeline.core.errors import near_match
    from pipeline.store import write_bytes
    from pipeline.studies import experiments

    found = {path.stem: path for path in sorted(templates().glob("*.toml"))} | experiments()
    if options.template not in found:
        raise WrongUse(f'there is no template "{options.template}".', near_match(options.template, found))
    file = Path(options.file)
    if file.exists() and not options.force:
        raise BadInput(f"{file} is there already.", "Choose another name, or write over it with --force.")
    for_training = options.template.startswith("train-")
    if for_training and options.camera:
        raise WrongUse("--camera is for experiments, and this template is for training.", "Leave --camera out.")
    if not options.dry_run:
        name = f'name = "{_run_name(file.stem)}"'
        text = found[options.template].read_text(encoding="utf-8").replace(f'name = "{options.template}"', name, 1)
        write_bytes(file, (_by_camera(text) if options.camera else text).encode())
    command = "train" if for_training else "run"
    return {"wrote": str(file), "template": options.template, "next": shlex.join(["inkproof", command, str(file)])}, 0


def _by_camera(text: str) -> str:
    """Returns an experiment file whose photographs a person takes."""
    if found := re.search(r'^by = "(camera|simulator)"', text, re.MULTILINE):
        return text.replace(found[0], 'by = "camera"', 1)
    return f'{text.rstrip()}\n\n[photograph]\nby = "camera"\n'


def _run_name(stem: str) -> str:
    """Returns a name that a folder of a run can have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("._-") or "experiment"


def stage(options: argparse.Namespace) -> tuple[Any, int]:
    from pipeline.planning.human_step import instructions, pages_in
    from pipeline.stages.graph import run_stage, status

    if options.name == "report" and options.compare:
        return _report_against(options)
    experiment, run, context = opened(options)
    if options.dry_run:
        return _dry_run(experiment, run, context, options.name, options.force), 0
    state = run_stage(options.name, experiment, run, context, options.force)
    states = status(experiment, run)
    pages = pages_in(experiment, run, states)
    refused, code = _refusal([state])
    if options.name in ("photograph", "crop"):
        code = code or waiting_code(pages)
    advice = next_step(experiment, run, states, stage_by_stage=True)
    told: dict[str, Any] = refused | {"stages": [stage_facts(state, run, pages)]}
    if options.name == "report":
        found = _findings(experiment, run, options) | {"next": advice}
        return told | (found if options.json else _on_one_screen(found, options.quiet)), 0
    if options.name == "rate":
        told |= {"rates": run_numbers(run)} if options.json else {"table": _rate_table(run)}
    todo = {"todo": instructions(experiment, run, pages)} if code == Waiting.exit_code else {}
    return {**told, **todo, "next": advice}, code


def _refusal(states: Sequence[Any]) -> tuple[dict[str, str], int]:
    """Returns why photos gave nothing, where they have one reason in common, to be told first; and the exit code."""
    for state in states:
        if found := state.summary.get("refused"):
            return {"refused": found["words"]}, _REFUSAL_CODES.get(found["reason"], AnswerNo.exit_code)
    return {}, 0


def _report_against(options: argparse.Namespace) -> tuple[Any, int]:
    """Sets another run beside one; --set and --seed are of the first, the other is taken as it was run."""
    from pipeline.cli.against import write_against
    from pipeline.cli.finding import found_run
    from pipeline.stages.graph import check_done, check_whole

    experiment, run, context = opened(options)
    other_experiment, other = found_run(options.compare, options.workspace, run.name)
    check_done("report", experiment, run)
    check_whole("rate", other_experiment, other)
    if options.dry_run:
        return would_run("report", f"{run.name} and {other.name} would be compared")
    written, told = write_against(experiment, run, context, other_experiment, other)
    reports = [str(written / f"report.{kind}") for kind in ("pdf", "html")]
    found = {"headline": told, "report": reports[0], "reports": reports, "next": f"open {reports[1]}"}
    return (found if options.json else _on_one_screen(found, options.quiet)), 0


def _rate_table(run: Any) -> str:
    """Returns the destruction rates by photographs as a table, or several."""
    from pipeline.document.tables import as_text
    from pipeline.records import FlagRow, Rate
    from pipeline.report.cell_tables import photo_rate_table
    from pipeline.report.run_flags import marked
    from pipeline.store import record_from
    from pipeline.store.artefacts import COUNTED

    counted = COUNTED.read(run)
    rows = [record_from(Rate, row) for row in counted["destruction_rates"]]
    flags = [record_from(FlagRow, row) for row in counted["flags"]]
    origins = sorted({row.origin for row in rows if row.transform == "photo"})
    top_ks = sorted({row.top_k for row in rows})
    tables = [as_text(marked(photo_rate_table(rows, origin=origin, top_ks=top_ks), flags)) for origin in origins]
    if len(origins) > 1:  # real and simulated photographs are never pooled
        tables = [f"Photographs by {origin}:\n{table}" for origin, table in zip(origins, tables, strict=True)]
    return "\n" + "\n\n".join(tables) + "\n" if tables else "\nNo photograph has been judged yet.\n"


def demo(options: argparse.Namespace) -> tuple[Any, int]:
    options.experiment = templates() / "demo.toml"
    return run(options)


def run(options: argparse.Namespace) -> tuple[Any, int]:
    from pipeline.planning.human_step import instructions, pages_in
    from pipeline.stages.graph import DONE, STALE, WAITING, run_all

    experiment, run, context = opened(options)
    if options.dry_run:
        return _dry_run(experiment, run, context, "", options.force), 0
    states, untold = [], []
    for state in run_all(experiment, run, context, options.force, options.verify):
        states.append(state)
        untold.append(state)
        if state.stage != "photograph":  # whether all pages are in is known once the photos are read
            pages = pages_in(experiment, run, states)
            for one in untold:
                options.display.say(stage_line(stage_facts(one, run, pages)))
            untold.clear()
    pages = pages_in(experiment, run, states)
    refused, code = _refusal(states)
    result: dict[str, Any] = {"run": experiment.name, **refused, "stages": [stage_facts(state, run, pages) for state in states]}
    if waiting := [state.stage for state in states if state.state == WAITING]:
        result["waiting_for"] = waiting
    if pages is not None and pages.missing:
        result |= {"pages": pages.told, "todo": instructions(experiment, run, pages)}
    if any(state.stage == "report" and state.state == DONE for state in states):
        result |= _findings(experiment, run, options)
    if options.json and any(state.stage == "rate" and state.state == DONE for state in states):
        result["rates"] = run_numbers(run)
    if later := [state.reason for state in states if state.state == STALE]:
        result["came_later"] = later
    result["next"] = next_step(experiment, run, states)
    return result if options.json else _on_one_screen(result, options.quiet), code or waiting_code(pages)


def status(options: argparse.Namespace) -> tuple[Any, int]:
    from pipeline.planning.human_step import instructions, mixed_photos, pages_in
    from pipeline.stages.graph import status

    experiment, run, _ = opened(options, check=False)
    states = status(experiment, run, options.verify)
    pages = pages_in(experiment, run, states)
    result: dict[str, Any] = {"run": experiment.name}
    if mixed := mixed_photos(experiment, run):
        result["refused"] = " ".join(mixed)
    result["stages"] = [stage_facts(state, run, pages) for state in states]
    if todo := instructions(experiment, run, pages):
        result["todo"] = todo
    return result | {"next": next_step(experiment, run, states)}, waiting_code(pages)


def plan(options: argparse.Namespace) -> tuple[Any, int]:
    from pipeline.cli.finding import found_run
    from pipeline.planning import Assumptions, plan, plan_text
    from pipeline.stages.graph import DONE, status

    experiment, run, _ = opened(options, check=False)
    states = status(experiment, run)
    done = [state.stage for state in states if state.state == DONE] if run.printouts.is_dir() else []
    assumed = Assumptions(
        seconds_per_page=options.seconds_per_page,
        clean_accuracy=options.clean_accuracy,
        fooled_rate=options.fooled_rate,
        rate=options.rate,
        page_correlation=options.page_correlation,
        darkness=options.darkness,
        wished_half_width=options.half_width,
    )
    earlier = found_run(options.like, options.workspace, run.name) if options.like else None
    found = plan(experiment, run, done, assumed, earlier)
    told = {"plan": found} if options.json else {"table": plan_text(found)}
    return told | {"next": next_step(experiment, run, states)}, 0


def calibrate(options: argparse.Namespace) -> tuple[Any, int]:
    from pipeline.physical.calibration.command import calibrate_files, parameters_text, write_page

    output = Path(options.output)
    if options.page:
        if options.photos:
            raise WrongUse("--page writes the page to print; photos of it come later.", "Leave out one of the two.")
        if not options.dry_run:
            write_page(Path(options.page), options.paper or "A4", options.orientation or "portrait", options.force)
        return {"wrote": options.page, "next": "print it at 100 %, photograph it, then: inkproof calibrate PHOTO"}, 0
    if options.paper or options.orientation:
        raise WrongUse("--paper and --orientation are of --page: a photo tells its own.", "Leave them out.")
    if not options.photos:
        hint = "Print the page (inkproof calibrate --page calibration.pdf), photograph it, and name the photos."
        raise WrongUse("There is no photo to calibrate from.", hint)
    if output.suffix != ".toml":
        raise WrongUse(f"--output {output}: a profile's name ends in .toml.")
    if options.dry_run:
        return would_run("calibrate", f"{len(options.photos)} photos, {output} and {output.with_suffix('.pdf')} would be written")
    places = count(1)
    fitted = calibrate_files(
        [Path(photo) for photo in options.photos],
        options.base,
        output,
        options.force,
        lambda what: options.display.begins(what, next(places), 2 * len(options.photos) + 2),
    )
    told = {"parameters": fitted.parameters, "notes": fitted.notes} if options.json else {"table": parameters_text(fitted)}
    advice = shlex.join(["inkproof", "run", "EXPERIMENT", "--set", f"photograph.profile={output}"])
    return {**told, "wrote": str(output), "report": str(output.with_suffix(".pdf")), "next": advice}, 0


def attack_table(options: argparse.Namespace) -> tuple[Any, int]:
    from pipeline.studies.carlini2017.tables import TableRequest, attack_table, chosen_attacks

    experiment, run, context = opened(options)
    names = tuple(name.strip() for name in options.attacks.split(",") if name.strip())
    request = TableRequest(options.table, names, options.n_images, options.n_targets, options.max_epsilon)
    if options.dry_run:
        named = ", ".join(attack.key for attack in chosen_attacks(experiment, request))
        return would_run("attack-table", f"table {request.table} of {named} was asked for")
    output = Path(options.output) if options.output else None
    made = attack_table(experiment, run, context, request, output, options.force)
    if options.json:
        return {"rows": made.rows, "wrote": str(made.csv), "latex": str(made.latex)}, 0
    return {"table": made.text, "wrote": f"{made.csv} and {made.latex.name}", "next": f"open {made.csv}"}, 0


def list_names(options: argparse.Namespace) -> tuple[Any, int]:
    from pipeline.cli.catalogue import listed

    found: dict[str, Any] = {kind: listed(kind) for kind in ([options.kind] if options.kind else KINDS)}
    return found | ({} if options.json else {"next": "inkproof init my.toml"}), 0


def doctor(options: argparse.Namespace) -> tuple[Any, int]:
    from pipeline.cli.doctor import examine

    checks = examine(options.workspace)
    broken = [check for check in checks if check.needed and not check.works]
    advice = "install what is marked with ✗, then: inkproof doctor" if broken else "inkproof demo"
    return {"checks": checks, "ready": not broken, "next": advice}, 4 if broken else 0


def opened(options: argparse.Namespace, check: bool = True) -> tuple[Any, Any, Any]:
    """Returns the experiment that a command names, its run, and where its work is done."""
    from pipeline.settings.reading import load_experiment
    from pipeline.stages.graph import is_kept
    from pipeline.store import Run
    from pipeline.store.artefacts import EXPERIMENT

    if options.seed is not None and options.seed < 0:
        raise WrongUse(f"--seed {options.seed}: expected 0 or more.")
    if options.workers is not None and not 1 <= options.workers <= MOST_ASKED:
        raise WrongUse(f"--workers {options.workers}: expected 1 to {MOST_ASKED}.")
    if options.workspace.exists() and not options.workspace.is_dir():
        raise BadInput(
            f"--workspace {options.workspace}: a file, where a folder is needed.", "Name a folder; it is made if need be."
        )
    path = Path(options.experiment)
    by_name = EXPERIMENT.path(Run(options.workspace, str(options.experiment)))
    if not path.is_file() and by_name.is_file():
        path = by_name
    flags = [] if options.seed is None else ["--seed", str(options.seed)]
    flags += [] if options.workspace_words == "." else ["--workspace", options.workspace_words]
    experiment = load_experiment(path, tuple(options.set), options.seed, tuple(flags))
    run = Run(options.workspace, experiment.name)
    options.log.belongs_to(run)
    if not is_kept(experiment, run):  # what a run keeps was checked when it was written
        from pipeline.cli.catalogue import check_names

        check_names(experiment)
    if check:
        _check_device(options.device)
    return experiment, run, context_of(options)


def context_of(options: argparse.Namespace) -> Any:
    """Returns where the work of a command is done.

    Raises:
        WrongUse: a cluster's address without the cluster.
    """
    from pipeline.engine import Context

    on_cluster = options.engine == "ray"
    if options.ray_address and not on_cluster:
        raise WrongUse("--ray-address goes with --engine ray.")
    workers = options.workers or (0 if on_cluster else min(n_cores(), MOST_WORKERS))
    display = options.display

    def begins(stage: str, number: int, total: int) -> None:
        options.sends()  # what the stage before it made
        display.begins(stage, number, total)

    return Context(options.device, workers, display.progress, begins, options.engine, options.ray_address)


def _check_device(device: str) -> None:
    if device == "cpu":
        return
    import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise Unavailable(f"--device {device}: {str(error).splitlines()[0]}.", "Use --device cpu.") from None


def would_run(stage: str, because: str) -> tuple[dict[str, Any], int]:
    """Returns what a command that is no stage says with --dry-run."""
    return {"would_run": [{"stage": stage, "because": because}], "next": "the same command without --dry-run"}, 0


def _dry_run(experiment: Any, run: Any, context: Any, only: str, force: bool) -> dict[str, Any]:
    from pipeline.stages.graph import check_would_run, status, what_would_run

    states = what_would_run(experiment, run, only, force)
    check_would_run(experiment, run, context, [state.stage for state in states])
    steps = [{"stage": state.stage, "because": state.reason or state.state} for state in states]
    command = f"inkproof {only or 'run'} {experiment.words}{' --force' * force}"
    return {"would_run": steps, "next": command if steps else next_step(experiment, run, status(experiment, run))}


def _findings(experiment: Any, run: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Returns what a run found, from the files on disk: the sentences that matter, what is flagged, the reports."""
    from pipeline.store import read_stage_record
    from pipeline.store.artefacts import COUNTED, REPORT_HTML, REPORT_PDF

    reports = [file.path(run) for file in (REPORT_PDF, REPORT_HTML) if file.exists(run)]
    record = read_stage_record(run.reports, "report")
    return {
        "headline": record.summary["headline"] if record else [],
        "flags": COUNTED.read(run)["flags"],
        "report": str(reports[0]),
        "reports": list(map(str, reports)),
        "seconds": round(options.display.elapsed_s, 1),
    }


def _on_one_screen(result: dict[str, Any], quiet: bool) -> dict[str, Any]:
    """Returns a result of many keys as the text that ends a run."""
    from pipeline.records import FlagRow
    from pipeline.report.raised_flags import RUN_FLAGS, raised_flags, told_flag
    from pipeline.store import record_from

    raised = raised_flags(record_from(FlagRow, row) for row in result.get("flags", ()))
    flags = [(RUN_FLAGS[name].title, told_flag(rows), RUN_FLAGS[name].what_to_do) for name, rows in raised.items()]
    ending = [f"Report: {path}" for path in result.get("reports", ())] + result.get("came_later", [])
    if "todo" in result:
        pages = f" {result['pages']}" if "pages" in result else ""
        ending += [f"Waiting for you:{pages}", *result["todo"].splitlines()]
    if "seconds" in result and not quiet:
        ending.append(f"It took {duration(result['seconds'])}.")
    if not quiet:
        ending.append(f"Next: {result['next']}")
    first = {"refused": result["refused"]} if "refused" in result else {}
    return {**first, "screen": one_screen(result.get("headline", ()), flags, ending)}


def templates() -> Path:
    """Returns the folder of experiment files that come with the program."""
    packaged = Path(__file__).parents[1] / "examples"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "examples"
