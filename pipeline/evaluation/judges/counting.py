"""Counts how often an attack made on one model fools the others: on the file, in photographs, and what photographs undo."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from pipeline.records import ATTACKED_MODEL, PHOTO, SOURCE, Judgement, Pair, Prediction, TransferRow, View
from pipeline.statistics import EffectiveNumber, destruction_counts, effective_number, wilson

FROM_FILE, FROM_PHOTO = "file", "photo"


def transfer_rows(
    cells: Sequence[tuple[str, str, int]],
    pairs: Iterable[Pair],
    judgements: Iterable[Judgement],
    top_ks: Sequence[int] = (1, 5),
    page_of: Mapping[str, int] | None = None,
) -> list[TransferRow]:
    """Returns the counts of every cell, judge and condition, in the order in which the judges first speak.

    A judge of whom fewer than k answers an image are known gets no row for top-k.

    Args:
        cells: (case, attack, epsilon_8bit) of the run.
        judgements: of all judges; `attacked_judgements` puts the attacked model beside them.
        page_of: the page that each pair is printed on; a pair that it does not tell of is on a page of its own.
    """
    by_judge: dict[str, list[Judgement]] = defaultdict(list)
    for judgement in judgements:
        by_judge[judgement.judge].append(judgement)
    benches = {judge: _Bench(found) for judge, found in by_judge.items()}
    by_cell: dict[tuple[str, str, int], list[Pair]] = defaultdict(list)
    for pair in pairs:
        for case in pair.cases:
            by_cell[case, pair.attack, pair.epsilon_8bit].append(pair)
    return [
        _row(cell, by_cell.get(cell, []), judge, bench, condition, top_k, page_of or {})
        for cell in cells
        for judge, bench in benches.items()
        for condition in bench.conditions
        for top_k in top_ks
        if top_k <= bench.most_k
    ]


def attacked_judgements(views: Iterable[View], predictions: dict[str, Prediction]) -> list[Judgement]:
    """Returns what the attacked model itself said of the files and photographs that count, as a judge to compare others with."""
    found = []
    for view in views:
        if view.counts and view.transform in (SOURCE, PHOTO):
            said = predictions[view.view_id]
            found.append(
                Judgement(
                    judge=ATTACKED_MODEL,
                    view_id=view.view_id,
                    image_id=view.image_id,
                    pair_id=view.pair_id,
                    variant=view.variant,
                    transform=view.transform,
                    origin=view.origin,
                    true_label=said.true_label,
                    labels=said.labels,
                    names=(),
                    probabilities=said.probabilities,
                    sha256=view.sha256,
                    is_imported=False,
                )
            )
    return found


class _Bench:
    """All that one judge said, by condition, variant and image."""

    def __init__(self, judgements: Iterable[Judgement]) -> None:
        self._said: dict[tuple[str, str, str, str], list[Judgement]] = defaultdict(list)
        self.conditions: list[tuple[str, str]] = []
        self.most_k = 10**9
        self.is_imported = False
        for judgement in judgements:
            condition = (judgement.transform, judgement.origin)
            if condition not in self.conditions:
                self.conditions.append(condition)
            subject = _subject(judgement.variant, judgement.transform, judgement.image_id, judgement.pair_id)
            self._said[(*condition, judgement.variant, subject)].append(judgement)
            self.is_imported |= judgement.is_imported
            if judgement.is_imported:
                self.most_k = min(self.most_k, len(judgement.labels))
        self.source = next((condition for condition in self.conditions if condition[0] == SOURCE), None)
        self.knows_clean_files = any(key[0] == SOURCE and key[2] == "clean" for key in self._said)

    def right(self, pair: Pair, variant: str, condition: tuple[str, str] | None, top_k: int) -> list[bool]:
        """Returns, for each image judged under the condition, whether the true label is in its top k; [] where none was."""
        if condition is None:
            return []
        key = (*condition, variant, _subject(variant, condition[0], pair.image_id, pair.pair_id))
        return [pair.true_label in said.labels[:top_k] for said in self._said.get(key, ())]


def _subject(variant: str, transform: str, image_id: str, pair_id: str) -> str:
    """Returns what an image is known by: a clean file belongs to all pairs made from it, anything else to one pair."""
    return image_id if variant == "clean" and transform == SOURCE else pair_id


def _row(
    cell: tuple[str, str, int],
    pairs: Sequence[Pair],
    judge: str,
    bench: _Bench,
    condition: tuple[str, str],
    top_k: int,
    page_of: Mapping[str, int],
) -> TransferRow:
    from_file = condition[0] == SOURCE or bench.knows_clean_files
    clean_condition = bench.source if from_file else condition
    # where several photographs of a page count each of them is an image, as in every other rate
    judged = [
        (pair, all(clean), right)
        for pair in pairs
        if (clean := bench.right(pair, "clean", clean_condition, top_k))
        for right in bench.right(pair, "adversarial", condition, top_k)
    ]
    believed = [(pair, right) for pair, clean, right in judged if clean]
    n_fooled = sum(not right for _, right in believed)
    of_photos = condition[0] == PHOTO
    control = [
        right
        for pair in {pair.pair_id: pair for pair, _ in believed}.values()
        for right in (bench.right(pair, "clean", condition, top_k) if of_photos else ())
    ]
    filed = [
        (pair, clean, all(file), right)
        for pair, clean, right in judged
        if of_photos and (file := bench.right(pair, "adversarial", bench.source, top_k))
    ]
    counts = destruction_counts((clean, file, right) for _, clean, file, right in filed)
    eligible = [(pair, right) for pair, clean, file, right in filed if clean and not file]
    worth, eligible_worth = (_effective(found, page_of) if of_photos else None for found in (believed, eligible))
    fooled, destroyed = _interval(n_fooled, len(believed), worth), _interval(counts.n_hit, counts.n_eligible, eligible_worth)
    return TransferRow(
        *cell,
        judge=judge,
        is_imported=bench.is_imported,
        transform=condition[0],
        origin=condition[1],
        top_k=top_k,
        clean_from=FROM_FILE if from_file else FROM_PHOTO,
        n_images=len(judged),
        n_clean_right=len(believed),
        n_fooled=n_fooled,
        fooled_rate=n_fooled / len(believed) if believed else None,
        fooled_low=fooled[0],
        fooled_high=fooled[1],
        n_control=len(control),
        n_control_right=sum(control),
        n_hit=counts.n_hit,
        n_eligible=counts.n_eligible,
        destruction_rate=counts.rate,
        low=destroyed[0],
        high=destroyed[1],
        interval="cluster" if worth else "wilson",
        n_clusters=worth.n_clusters if worth else None,
        fooled_n_effective=worth.n_effective if worth else None,
        n_effective=eligible_worth.n_effective if eligible_worth else None,
    )


def _effective(found: Sequence[tuple[Pair, bool]], page_of: Mapping[str, int]) -> EffectiveNumber | None:
    """Returns what images in photographs are worth, those of a page falling together."""
    images = [pair.pair_id for pair, _ in found]
    pages = [page_of.get(image, image) for image in images]
    return effective_number([right for _, right in found], [pages], n_different=len(set(images)))


def _interval(n_hit: int, n: int, number: EffectiveNumber | None) -> tuple[float, float] | tuple[None, None]:
    found = wilson(n_hit / n * number.n_effective, number.n_effective) if number else wilson(n_hit, n)
    return found or (None, None)
