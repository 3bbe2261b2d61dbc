"""The CSV of predictions made outside: one to fill in, and one filled in becomes judgements, or a list of what is wrong."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.csv_cells import csv_text, unquoted
from pipeline.core.errors import BadInput, near_match
from pipeline.evaluation.judges.classes import NO_CLASS, Answers
from pipeline.records import CAMERA, DIGITAL, PHOTO, SIMULATED, SOURCE, VARIANTS, Judgement, Pair, Printout
from pipeline.settings.checking import shortened
from pipeline.store import write_bytes

LABELS = ("label", "label_2", "label_3", "label_4", "label_5")
COLUMNS = ("pair_id", "page", "place", "image_id", "attack", "epsilon", "variant", "condition", "origin", *LABELS, "probability")
TEMPLATE_COLUMNS = ("page", "place", "pair_id", "variant", "condition", "label")
N_BAD_SHOWN = 8


@dataclass(frozen=True)
class Imported:
    """What a CSV says: judgements, notes for a person, and the rows that could not be understood as (line, reason)."""

    judgements: list[Judgement]
    notes: list[str]
    bad_rows: list[tuple[int, str]]


def read_predictions(
    path: Path, judge: str, pairs: Sequence[Pair], hashes: Mapping[str, str], names: Sequence[str], layout: Printout | None
) -> Imported:
    """Returns the judgements of a CSV with one row an image; the columns are those of docs/transfer.md.

    Args:
        hashes: of the pixels of each saved file, by the id of its view: a judgement keeps that of what was printed.
        names: the classes of the attacked model.
        layout: the printed pages; None where they are not laid out yet.

    Raises:
        BadInput: the file cannot be read, or has no column of labels or none that says which image.
    """
    lines, header = _table(path)
    reader = _Reader(judge, pairs, hashes, Answers(names), layout)
    judgements: dict[tuple[str, ...], Judgement] = {}
    first_line: dict[tuple[str, ...], int] = {}
    bad: list[tuple[int, str]] = []
    strange: dict[str, int] = {}
    for line, row in lines:
        try:
            judgement = reader.judgement(row)
            key = (judgement.transform, judgement.origin, judgement.variant, judgement.pair_id or judgement.image_id)
            if key in judgements and judgements[key] != judgement:
                raise _BadRow(f"another answer for the image of line {first_line[key]}")
        except _BadRow as error:
            bad.append((line, str(error)))
            continue
        first_line.setdefault(key, line)
        judgements[key] = judgement
        for label, name in zip(judgement.labels, judgement.names, strict=True):
            if label == NO_CLASS:
                strange[name] = strange.get(name, 0) + 1
    notes = [f'column "{name}" is not read' for name in header if name and name not in COLUMNS]
    notes += [_strange_note(name, n, reader.answers) for name, n in strange.items()]
    return Imported(list(judgements.values()), notes, bad)


def bad_rows_text(bad: Sequence[tuple[int, str]]) -> str:
    """Returns the rows that could not be understood as one line of text."""
    shown = "; ".join(f"line {line}: {reason}" for line, reason in bad[:N_BAD_SHOWN])
    return shown + (f"; and {len(bad) - N_BAD_SHOWN} more" if len(bad) > N_BAD_SHOWN else "")


def write_template(path: Path, layout: Printout) -> int:
    """Writes a CSV of every printed image, page by page in reading order, with an empty label; returns how many."""
    places = printed_places(layout)
    rows = ((page, place, *image, PHOTO, "") for (page, place), image in places.items())
    write_bytes(path, csv_text([TEMPLATE_COLUMNS, *rows]).encode())
    return len(places)


def printed_places(layout: Printout) -> dict[tuple[int, int], tuple[str, str]]:
    """Returns (page, place) -> (pair_id, variant): places count from 1 on each page, left to right and then down."""
    placed = sorted(layout.placements, key=lambda box: (box.page, round(box.y_mm, 1), box.x_mm))
    n_on_page: dict[int, int] = {}
    places = {}
    for box in placed:
        n_on_page[box.page] = n_on_page.get(box.page, 0) + 1
        places[box.page, n_on_page[box.page]] = (box.pair_id, box.variant)
    return places


def source_view(variant: str, image_id: str, pair_id: str) -> str:
    """Returns the id of the view of a saved file that is judged, or printed and photographed."""
    return f"{f'clean/{image_id}' if variant == 'clean' else pair_id}/{SOURCE}"


class _BadRow(Exception):
    """Why a row could not be understood."""


class _Reader:
    """Finds out, row by row, which image is meant and what was said of it."""

    def __init__(
        self, judge: str, pairs: Sequence[Pair], hashes: Mapping[str, str], answers: Answers, layout: Printout | None
    ) -> None:
        self._judge = judge
        self.answers = answers
        self._pairs = {pair.pair_id: pair for pair in pairs}
        self._by_cell = {(pair.image_id, pair.attack, pair.epsilon_8bit): pair for pair in pairs}
        self._hashes = hashes
        self._places = printed_places(layout) if layout else {}

    def judgement(self, row: dict[str, str]) -> Judgement:
        transform = _one_of(row, "condition", (SOURCE, PHOTO), PHOTO)
        origin = DIGITAL if transform == SOURCE else _one_of(row, "origin", (CAMERA, SIMULATED), CAMERA)
        pair, variant = self._image(row, transform)
        labels, names = self._labels(row)
        file = source_view(variant, pair.image_id, pair.pair_id)
        return Judgement(
            judge=self._judge,
            view_id=file if transform == SOURCE else "",
            image_id=pair.image_id,
            pair_id="" if variant == "clean" and transform == SOURCE else pair.pair_id,
            variant=variant,
            transform=transform,
            origin=origin,
            true_label=pair.true_label,
            labels=labels,
            names=names,
            probabilities=_probability(row),
            sha256=self._hashes[file],
            is_imported=True,
        )

    def _image(self, row: dict[str, str], transform: str) -> tuple[Pair, str]:
        printed = self._printed(row)
        variant = _one_of(row, "variant", VARIANTS, printed[1] if printed else "")
        if printed and variant != printed[1]:
            raise _BadRow(f"page {row['page']} place {row['place']} is the {printed[1]} image, not the {variant} one")
        pair = self._pair(row, variant, transform) if not printed or row.get("pair_id") else self._pairs[printed[0]]
        if printed and pair.pair_id != printed[0]:
            raise _BadRow(f"page {row['page']} place {row['place']} belongs to {printed[0]}, not to {pair.pair_id}")
        return pair, variant

    def _printed(self, row: dict[str, str]) -> tuple[str, str] | None:
        if not row.get("page") and not row.get("place"):
            return None
        if not self._places:
            raise _BadRow("page and place say nothing before the pages are laid out: inkproof layout EXPERIMENT")
        try:
            place = int(row.get("page", "")), int(row.get("place", ""))
        except ValueError:
            raise _BadRow(f"page {row.get('page')!r}, place {row.get('place')!r}: two whole numbers are needed") from None
        if place not in self._places:
            raise _BadRow(f"there is no place {place[1]} on a page {place[0]}")
        return self._places[place]

    def _pair(self, row: dict[str, str], variant: str, transform: str) -> Pair:
        if pair_id := row.get("pair_id"):
            if pair_id not in self._pairs:
                near = f" ({near_match(pair_id, self._pairs)})" if len(self._pairs) < 13 else ""
                raise _BadRow(f'there is no pair "{pair_id}"{near}')
            return self._pairs[pair_id]
        if not row.get("image_id"):
            raise _BadRow("it names no image: give pair_id, or page and place, or image_id, attack and epsilon")
        of_image = [pair for pair in self._pairs.values() if pair.image_id == row["image_id"]]
        if not of_image:
            raise _BadRow(f'there is no image "{row["image_id"]}"')
        if not row.get("attack"):
            if variant == "clean" and (transform == SOURCE or len(of_image) == 1):
                return of_image[0]
            raise _BadRow(f'image "{row["image_id"]}" belongs to {len(of_image)} pairs: give attack and epsilon too')
        epsilon = row.get("epsilon") or "0"
        if not re.fullmatch(r"0*\d{1,3}(\.0*)?", epsilon, re.ASCII):
            raise _BadRow(f'epsilon "{shortened(epsilon)}" is no whole number from 0 to 255')
        pair = self._by_cell.get((row["image_id"], row["attack"], int(float(epsilon))))
        if pair is None:
            raise _BadRow(f'image "{row["image_id"]}" has no pair of {row["attack"]} at epsilon {epsilon}')
        return pair

    def _labels(self, row: dict[str, str]) -> tuple[tuple[int, ...], tuple[str, ...]]:
        said = [row.get(column, "") for column in LABELS]
        while said and not said[-1]:
            said.pop()
        if not said:
            raise _BadRow("it has no label")
        if not all(said):
            raise _BadRow(f"{LABELS[said.index('')]} is empty and one after it is not")
        labels, names = [], []
        for answer in said:
            try:
                label = self.answers.class_of(answer)
            except ValueError as error:
                raise _BadRow(str(error)) from None
            if label != NO_CLASS and label in labels:
                raise _BadRow(f"{answer!r} is named twice")
            labels.append(label)
            names.append(answer if label == NO_CLASS else self.answers.names[label])
        return tuple(labels), tuple(names)


def _table(path: Path) -> tuple[list[tuple[int, dict[str, str]]], list[str]]:
    """Returns the rows with their line numbers, empty ones left out, and the header's names in small letters."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({(error.strerror or str(error)).lower()}).") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path}: not UTF-8 text.", "Save it as CSV UTF-8.") from None
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    try:
        header = [{"epsilon_8bit": "epsilon"}.get(name, name) for name in (cell.strip().casefold() for cell in next(reader, []))]
        if "label" not in header:
            why = f':1: there is no column "label" ({near_match("label", header)})' if header else ": empty."
            raise BadInput(f"{path}{why}")
        if repeated := [name for name in header if name and header.count(name) > 1]:
            raise BadInput(f'{path}:1: column "{repeated[0]}" is there twice.')
        if not {"pair_id", "page", "image_id"} & set(header):
            hint = "Give pair_id, or page and place, or image_id, attack and epsilon."
            raise BadInput(f"{path}:1: no column says which image.", hint)
        rows = []
        for cells in reader:
            values = {name: unquoted(cell.strip()) for name, cell in zip(header, cells, strict=False)}
            if any(values.values()):
                rows.append((reader.line_num, values))
    except csv.Error as error:
        raise BadInput(f"{path}:{reader.line_num}: not CSV ({error}).") from None
    return rows, header


def _one_of(row: dict[str, str], column: str, choices: Sequence[str], default: str) -> str:
    value = row.get(column, "").casefold() or default
    if value not in choices:
        said = f'{column} "{row[column]}"' if row.get(column) else f"{column} is missing"
        raise _BadRow(f"{said}: expected {' or '.join(choices)}")
    return value


def _probability(row: dict[str, str]) -> tuple[float, ...]:
    text = row.get("probability", "")
    if not text:
        return ()
    try:
        value = float(text.removesuffix("%").replace(",", ".")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise _BadRow(f"probability {text!r}: expected 0 to 1, or a percentage with %")
    return (value,)


def _strange_note(name: str, n: int, answers: Answers) -> str:
    near = answers.near(name)
    hint = f"; did it mean {' or '.join(near)}?" if near else ""
    return f'"{name}" ({n} ×) is no class of the attacked model and counts as wrong{hint}'
