"""Paired comparisons: methods, strengths and conditions over the same images, each image compared with itself."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations, pairwise

from pipeline.evaluation.judged import Condition, Hit, Judged
from pipeline.records import Cell, ComparisonRow, Pair
from pipeline.statistics import compare_paired, holm


def comparisons(cells: Mapping[Cell, Sequence[Pair]], judged: Judged, top_ks: Iterable[int]) -> list[ComparisonRow]:
    """Returns every comparison of the run, corrected by Holm over those of one kind and top k; a table a kind and top k.

    An image takes part where it is eligible on both sides. Methods and strengths are compared by how many files fool and by how
    many of the attacks that work each kind of photograph undoes, conditions by the accuracy of files and photographs and by
    what photographs of different origin undo.

    Args:
        cells: the pairs of every (case, attack, epsilon_8bit), in the experiment's order.
    """
    if judged.source is None:
        return []
    rows: list[ComparisonRow] = []
    for top_k in top_ks:
        rated = _Rated(cells, judged, top_k)
        for of_kind in (rated.methods(), rated.strengths(), rated.conditions()):
            family = list(of_kind)
            corrected = holm([row.p for row in family])
            n_tested = sum(row.p is not None for row in family)
            rows += [replace(row, p_holm=p, n_family=n_tested) for row, p in zip(family, corrected, strict=True)]
    return rows


class _Rated:
    """The outcomes of every cell at one top k, and the rows that compare them."""

    def __init__(self, cells: Mapping[Cell, Sequence[Pair]], judged: Judged, top_k: int) -> None:
        self._cells, self._judged, self._top_k = cells, judged, top_k
        self._known: dict[tuple, dict[str, Hit]] = {}

    def methods(self) -> Iterator[ComparisonRow]:
        by_strength: dict[tuple[str, int], list[Cell]] = {}
        for case, attack, epsilon in self._cells:
            by_strength.setdefault((case, epsilon), []).append((case, attack, epsilon))
        for found in by_strength.values():
            for first, second in combinations(found, 2):
                yield from self._over_all_conditions("method", first, second)

    def strengths(self) -> Iterator[ComparisonRow]:
        by_attack: dict[tuple[str, str], list[Cell]] = {}
        for case, attack, epsilon in self._cells:
            by_attack.setdefault((case, attack), []).append((case, attack, epsilon))
        for found in by_attack.values():
            for first, second in pairwise(sorted(found, key=lambda cell: cell[2])):
                yield from self._over_all_conditions("epsilon", first, second)

    def conditions(self) -> Iterator[ComparisonRow]:
        source, photos = self._judged.source, self._judged.photos
        for cell in self._cells:
            for photo in photos:
                for quantity in ("clean_accuracy", "adversarial_accuracy"):
                    yield self._row("condition", quantity, (cell, source), (cell, photo))
            for first, second in combinations(photos, 2):
                yield self._row("condition", "destruction_rate", (cell, first), (cell, second))

    def _over_all_conditions(self, kind: str, first: Cell, second: Cell) -> Iterator[ComparisonRow]:
        source = self._judged.source
        if first[0] != "prefiltered":  # whose files fool by choice
            yield self._row(kind, "fooled_rate", (first, source), (second, source))
        for photo in self._judged.photos:
            yield self._row(kind, "destruction_rate", (first, photo), (second, photo))

    def _row(self, kind: str, quantity: str, first: tuple[Cell, Condition], second: tuple[Cell, Condition]) -> ComparisonRow:
        (cell, condition), (other_cell, other_condition) = first, second
        one, other = self._outcomes(quantity, *first), self._outcomes(quantity, *second)
        shared = [image for image in one if image in other]
        outcomes = [(one[image].is_hit, other[image].is_hit) for image in shared]
        ways = [[side[image].page for image in shared] for side in (one, other)]
        ways = [way for way in ways if any(way)]  # of files there are no pages
        found = compare_paired(outcomes, ways or None)
        return ComparisonRow(
            kind=kind,
            quantity=quantity,
            case=cell[0],
            top_k=self._top_k,
            first_attack=cell[1],
            first_epsilon_8bit=cell[2],
            first_transform=condition[0],
            first_origin=condition[2],
            second_attack=other_cell[1],
            second_epsilon_8bit=other_cell[2],
            second_transform=other_condition[0],
            second_origin=other_condition[2],
            n=found.n,
            n_both=found.n_both,
            n_first=found.n_first,
            n_second=found.n_second,
            first_rate=(found.n_both + found.n_first) / found.n if found.n else None,
            second_rate=(found.n_both + found.n_second) / found.n if found.n else None,
            difference=found.difference,
            low=found.low,
            high=found.high,
            interval="cluster" if ways else "wilson",
            n_clusters=found.n_clusters if ways else None,
            n_effective=found.n_effective if ways else None,
            p=found.p,
            p_holm=None,
            n_family=0,
        )

    def _outcomes(self, quantity: str, cell: Cell, condition: Condition) -> dict[str, Hit]:
        """Returns, by image, what counts for a rate of one cell under one condition, of the images that are eligible."""
        key = (quantity, cell, condition)
        if key not in self._known:
            self._known[key] = self._judged.hits(quantity, self._cells[cell], condition, self._top_k)
        return self._known[key]
