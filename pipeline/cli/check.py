"""The command that holds a run to limits: a line for each rule, and an exit code that stops a build."""

import argparse
from pathlib import Path
from typing import Any

from pipeline.cli.finding import found_run
from pipeline.cli.numbers import verdict_facts
from pipeline.core.errors import AnswerNo, InkproofError, WrongUse

_LIMITS = {"min_accuracy": "photo=0.8", "min_destruction": "0.5", "max_destruction": "fgsm:16=0.4", "max_drop": "photo=5"}


def check(options: argparse.Namespace) -> tuple[Any, int]:
    from pipeline.document.formats import count
    from pipeline.report.verdicts import junit_xml, verdict_line
    from pipeline.store import write_bytes

    file = Path(options.junit) if options.junit and not options.dry_run else None
    try:
        name, verdicts, report = _verdicts(options)
    except InkproofError as error:
        if file:
            write_bytes(file, junit_xml(str(options.experiment), (), str(error)))
        raise
    if file:
        write_bytes(file, junit_xml(name, verdicts))
    broken = sum(not verdict.is_kept for verdict in verdicts)
    lines = [verdict_line(verdict) for verdict in verdicts]
    code = AnswerNo.exit_code if broken else 0
    if options.json:
        rules = [verdict_facts(verdict) | {"told": line} for verdict, line in zip(verdicts, lines, strict=True)]
        return {"run": name, "is_kept": not broken, "n_rules": len(rules), "n_broken": broken, "rules": rules}, code
    if not options.quiet:
        counted = count(len(verdicts), "rule")
        lines.append(f"{broken} of {counted} broken." if broken else f"{counted} kept.")
        if any(verdict.is_rate_within and not verdict.is_kept for verdict in verdicts):
            lines[-1] += " More images make intervals shorter; --on rate leaves them out."
    return {"table": "\n".join(lines), "next": f"open {report}"}, code


def _verdicts(options: argparse.Namespace) -> tuple[str, Any, Path]:
    from pipeline.evaluation.rules import asks_for_photos, check_asks, verdicts_of
    from pipeline.stages.graph import check_done, check_whole
    from pipeline.store.artefacts import REPORT_HTML

    experiment, run = found_run(str(options.experiment), options.workspace, "", tuple(options.set), options.seed)
    settings = asked(experiment.check, options)
    check_asks(settings)
    needs_photos = asks_for_photos(settings)
    check_done("rate", experiment, run, needs_photos)
    other = None
    if settings.against:
        place = options.against or experiment.against_place()
        other = found_run(place, options.workspace, run.name)
        check_whole("rate", *other)
    return run.name, verdicts_of(settings, run, experiment, other), REPORT_HTML.path(run)


def asked(settings: Any, options: argparse.Namespace) -> Any:
    """Returns the [check] of the file with what the command line says on top; a limit there replaces the same one here."""
    from dataclasses import asdict

    from pipeline.settings import CheckSettings, Refused, checked

    tables = asdict(settings)
    for key, example in _LIMITS.items():
        flag = f"--{key.replace('_', '-')}"
        tables[key] = tables[key] | dict(_limit(flag, text, example) for text in getattr(options, key))
    tables |= {"on": options.on or settings.on, "against": options.against or settings.against}
    try:
        return checked(CheckSettings, tables)
    except Refused as error:
        raise WrongUse(error.sentence, error.hint) from None


def _limit(flag: str, text: str, example: str) -> tuple[str, float]:
    from pipeline.settings import OVERALL

    place, equals, number = text.rpartition("=")
    try:
        limit = float(number)
    except ValueError:
        raise WrongUse(f'{flag} "{text}": a number was expected after "=".', f"Write for example: {flag} {example}") from None
    if not equals and flag == "--min-accuracy":
        raise WrongUse(f"{flag} {text}: say which accuracy, clean, adversarial, clean-photo or photo.", f"Write: photo={text}")
    return place or OVERALL, limit
