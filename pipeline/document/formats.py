"""How numbers, counts and names are written, the same in tables, figures and prose."""

import re
from collections.abc import Iterable

NOT_APPLICABLE = "n/a"
DASH = "–"


def percent(share: float | None, digits: int = 1) -> str:
    """Returns a share in [0, 1] as text ("12.5 %"), "n/a" for None."""
    return NOT_APPLICABLE if share is None else f"{100 * share:.{digits}f} %"


def points(difference: float | None, digits: int) -> str:
    """Returns a difference of two shares in points, with its sign; a dash for None."""
    if difference is None:
        return DASH
    rounded = round(100 * difference, digits)
    return f"{rounded:+.{digits}f}".replace("-", "−") if rounded else f"{0:.{digits}f}"


def interval(low: float | None, high: float | None) -> str:
    """Returns a 95 % interval in whole per cent ("6–25"), "" where there is none."""
    return "" if low is None or high is None else f"{100 * low:.0f}–{100 * high:.0f}"


def p_value(p: float | None) -> str:
    """Returns a p value with no more digits than it is worth ("< 0.001", "0.032", "0.41"), a dash for None."""
    return DASH if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def number(value: float) -> str:
    """Returns a parameter as short as it can be: 2.0 is "2", 0.7 is "0.7"; the minus is a real one."""
    return f"{value:g}".replace("-", "−")


def span(values: Iterable[int]) -> str:
    """Returns the range of some counts: "19" where they are all the same, "17–19" where not, "–" where there is none."""
    found = sorted(set(values))
    return DASH if not found else f"{found[0]}–{found[-1]}" if len(found) > 1 else str(found[0])


def ranges(numbers: Iterable[int]) -> str:
    """Returns numbers in ascending order, neighbours together: "5, 8, 11–16"."""
    found: list[list[int]] = []
    for number_ in sorted(set(numbers)):
        if found and number_ == found[-1][-1] + 1:
            found[-1].append(number_)
        else:
            found.append([number_])
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in found)


def count(n: int, noun: str, plural: str = "") -> str:
    """Returns "1 photo", "2 photos"; thousands are set apart by a comma."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def listed(words: Iterable[str]) -> str:
    """Returns "a", "a and b", "a, b and c"."""
    *head, last = list(words) or [""]
    return f"{', '.join(head)} and {last}" if head else last


def middle_cut(name: str, max_chars: int) -> str:
    """Returns a file name no longer than `max_chars`, cut in the middle: the beginning and the ending tell files apart."""
    half = (max_chars - 1) // 2
    return name if len(name) <= max_chars else f"{name[:half]}…{name[-half:]}"


def first_name(name: str) -> str:
    """Returns the first of a class's synonyms, which commas separate."""
    return name.split(",")[0].strip() or name.strip()


def short_class_name(name: str, max_chars: int = 28) -> str:
    """Returns the first of a class's synonyms, cut at a word's end with an ellipsis where it is still too long."""
    first = first_name(name)
    if len(first) <= max_chars:
        return first
    kept = first[: max_chars - 1]
    at_word = kept.rsplit(" ", 1)[0]
    return (at_word if len(at_word) > max_chars // 2 else kept).rstrip(" -") + "…"


def tied(text: str) -> str:
    """Returns text in which no line ends between a number and its per cent sign, nor between n, ε or = and their number."""
    return re.sub(r"(?<=\d) (?=%)|(?<=[ε=]) (?=\d)|(?<=\bn) (?==)|(?<=ε) (?==)", "\u00a0", text)
