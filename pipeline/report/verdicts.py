"""What is said of the limits that a run is held to: a line each, and a JUnit file that build servers show."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence

from pipeline.document.formats import count, interval, p_value, percent, points
from pipeline.records import PHOTO, Comparison, Rate
from pipeline.records.rules import BOUND, Verdict
from pipeline.report.words import CASE_TITLES, ORIGIN_TITLES, cell_title

_TITLES = {
    "clean_accuracy": "clean accuracy",
    "adversarial_accuracy": "adversarial accuracy",
    "destruction_rate": "destruction rate",
}
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def verdict_line(verdict: Verdict) -> str:
    """Returns what was measured, with n and interval as the report has them, and whether that keeps to the limit."""
    mark, told = "✓" if verdict.is_kept else "✗", _measured(verdict)
    near = f" ({_itself(verdict)} keeps to it)" if not verdict.is_kept and verdict.is_rate_within else ""
    return f"{mark} {verdict_name(verdict)}: {told}; {_compared(verdict)}{near}"


def verdict_name(verdict: Verdict) -> str:
    """Returns what is measured: quantity, what it is counted on, and the cell."""
    rule, found = verdict.rule, verdict.found
    case, attack, epsilon = rule.cell
    where = [cell_title(attack, epsilon) if attack else "all cells", CASE_TITLES.get(case, case)]
    if rule.counted[0] == "destruction_rate" or rule.counted[1] == PHOTO:
        sides = (found,) if isinstance(found, Rate) else (found.first, found.second)
        kinds = " and ".join(dict.fromkeys(ORIGIN_TITLES.get(side.origin, side.origin) for side in sides))
        return f"{_TITLES[rule.counted[0]]}, {kinds} photos, {', '.join(where)}"
    return f"{_TITLES[rule.counted[0]]}, files, {', '.join(where)}"


def junit_xml(run: str, verdicts: Sequence[Verdict], trouble: str = "") -> bytes:
    """Returns a JUnit file with a test for each rule; `trouble` says why there are none."""
    cases = [("inkproof check", trouble, "error")] if trouble else []
    for verdict in verdicts:
        name = f"{verdict.rule.key} {verdict.rule.place}: {verdict_name(verdict)}"
        cases.append((name, verdict_line(verdict), "" if verdict.is_kept else "failure"))
    n_failures, n_errors = (sum(kind == wanted for _, _, kind in cases) for wanted in ("failure", "error"))
    counts = {"tests": str(len(cases)), "failures": str(n_failures), "errors": str(n_errors)}
    root = ET.Element("testsuites", counts)
    suite = ET.SubElement(root, "testsuite", {"name": f"inkproof {_printable(run)}", **counts})
    of_run = {"classname": f"inkproof.{_printable(run)}", "time": "0"}
    for name, told, kind in cases:
        case = ET.SubElement(suite, "testcase", {"name": _printable(name), **of_run})
        if kind:
            ET.SubElement(case, kind, {"message": _printable(told), "type": kind}).text = _printable(told)
        else:
            ET.SubElement(case, "system-out").text = _printable(told)
    ET.indent(root)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _printable(text: str) -> str:
    return _NOT_IN_XML.sub("�", text)


def _measured(verdict: Verdict) -> str:
    found = verdict.found
    if isinstance(found, Rate):
        return f"{percent(found.rate)} ({found.n_hit}/{found.n_eligible} · {interval(found.low, found.high)})"
    return _beside(found, verdict.other)


def _itself(verdict: Verdict) -> str:
    return "the drop itself" if verdict.rule.key == "max_drop" else "the rate itself"


def _beside(row: Comparison, other: str) -> str:
    """Returns both rates, over the images that both runs have where they share them, and their difference."""
    if row.pairing == "none":
        rates, images = (row.first.rate, row.second.rate), f"other images, n = {row.first.n_eligible} and {row.second.n_eligible}"
    else:
        rates = (row.n_both + row.n_first) / row.n, (row.n_both + row.n_second) / row.n
        images = f"the {row.n} that both have" + (
            f", from {count(row.n_different or 0, 'image')}" if row.n_different != row.n else ""
        )
    change = f"{points(row.difference, 1)} points ({points(row.low, 0)} to {points(row.high, 0)}), p = {p_value(row.p)}".replace(
        "= <", "<"
    )
    return f"{percent(rates[0])} against {percent(rates[1])} of {other} ({images}): {change}"


def _compared(verdict: Verdict) -> str:
    rule = verdict.rule
    if rule.key == "max_drop":
        what = "drop" if rule.on != BOUND else "drop that the interval leaves open"
        return f"{what}: {points(verdict.measured, 1).removeprefix('+')} points, at most {100 * rule.limit:g} allowed"
    what = "the rate" if rule.on != BOUND else f"the {'lower' if rule.is_least else 'upper'} end"
    limit = f"{'at least' if rule.is_least else 'at most'} {100 * rule.limit:g} %"
    return f"{what} is {percent(verdict.measured)}, {limit} is asked for"
