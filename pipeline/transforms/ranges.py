"""Ranges of transforms' values, from which an attack draws what may happen to its image."""

from collections.abc import Mapping

from pipeline.core.errors import WrongUse, placed
from pipeline.specs.transforms import TRANSFORMS

Ranges = dict[str, tuple[float, float]]


def checked_ranges(ranges: Mapping[str, object], name: str = "transforms") -> Ranges:
    """Returns lowest and highest value of each transform, in the order in which they are applied: that of the registry.

    Raises:
        WrongUse: an unknown transform, one without gradients, or what is no range within its limits.
    """
    found: Ranges = {}
    for word, value in ranges.items():
        with placed(name):
            transform = TRANSFORMS.find(word)
        if not transform.on_tensors:
            raise WrongUse(f"{name}.{word}: no gradient leads through {word}.", "Leave it out.")
        ends = value if isinstance(value, (list, tuple)) else ()
        if len(ends) != 2 or not all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in ends):
            hint = f"For example: {word} = [{transform.grid[0]:g}, {transform.grid[-1]:g}]"
            raise WrongUse(f"{name}.{word} = {value!r}: expected the lowest and the highest value.", hint)
        low, high = ends
        if not transform.minimum <= low <= high <= transform.maximum:
            raise WrongUse(f"{name}.{word} = {value!r}: expected two values, the lower one first, from {transform.limits}.")
        if transform.whole and (low != int(low) or high != int(high)):
            raise WrongUse(f"{name}.{word} = {value!r}: expected whole numbers.")
        found[word] = (float(low), float(high))
    return {word: found[word] for word in TRANSFORMS.names() if word in found}
