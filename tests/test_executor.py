"""Mapping over items: in order, in this process or in workers, errors and their hints included."""

import pytest

from pipeline.errors import BadInput
from pipeline.executor import Context, map_items
from pipeline.seeds import generator_for, seed_for


def doubled(number: int) -> int:
    return 2 * number


def refused(number: int) -> int:
    raise BadInput(f"number {number} is bad.", "Take another.")


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_items(workers):
    assert list(map_items(doubled, range(20), Context(workers=workers), "double")) == [2 * number for number in range(20)]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_keeps_its_hint_on_the_way_from_a_worker(workers):
    with pytest.raises(BadInput) as caught:
        list(map_items(refused, [3, 4], Context(workers=workers), "refuse"))
    assert str(caught.value) == "number 3 is bad. Take another."


def test_progress_sees_every_item():
    seen = []

    def watch(items, total, label):
        for item in items:
            seen.append((item, total, label))
            yield item

    assert list(map_items(doubled, [1, 2], Context(progress=watch), "double")) == [2, 4]
    assert seen == [(2, 2, "double"), (4, 2, "double")]


def test_seeds_depend_on_run_stage_and_item_and_on_nothing_else():
    keys = [(0, "a", "x"), (1, "a", "x"), (0, "b", "x"), (0, "a", "y"), (0, "ax", ""), (0, "a", "")]
    assert len({seed_for(*key) for key in keys}) == len(keys)
    assert seed_for(0, "a", "x") == seed_for(0, "a", "x") < 2**63
    assert generator_for(7, "noise", "i").random() == generator_for(7, "noise", "i").random()
