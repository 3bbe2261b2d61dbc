"""What the model looks for and where it looks, and how much of a transform single images stand."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Filter:
    """The weights of one of the `n_units` of a network's first layer, flattened from `shape` = (channels, height, width).

    `name` is the class whose score they make where the network is linear, else "".
    """

    number: int
    n_units: int
    name: str
    shape: tuple[int, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ExplainedView:
    """The scores of one picture whose maps were made; `variant` is "clean", "adversarial" or "photo" (of the adversarial image).

    `logit` and `probability` are of `explained_label`, the same class for all pictures of a pair.
    """

    pair_id: str
    variant: str
    view_id: str
    explained_label: int
    logit: float
    probability: float
    predicted_label: int
    predicted_probability: float


@dataclass(frozen=True, slots=True)
class ThresholdRow:
    """How much of one transform undoes one working attack (top-1), in the transform's own unit.

    `direction` is "up" or "down" from the value that changes nothing. `threshold` is where the attack was first seen destroyed,
    None where it never was; `works_at` the last value before at which it still worked, None where that is the unchanged file.
    `n_forward` counts the images that the model was asked about; a pair of two cases has rows in both and was asked about once.
    """

    pair_id: str
    image_id: str
    case: str
    attack: str
    epsilon_8bit: int
    transform: str
    direction: str
    threshold: float | None
    works_at: float | None
    n_forward: int


@dataclass(frozen=True, slots=True)
class SurvivalCurve:
    """How many of `n` working attacks of a cell are left as one transform grows stronger, up to `end`; `n_censored` outlast it.

    `steps` holds (value, number left, low, high) with the 95 % interval of the share that is left, from mild to strong; the first
    one is of the unchanged files. `median` and the ends of its 95 % interval, `low` being the milder one, are None where they lie
    beyond the range; both ends are where there are too few attacks for an interval.
    """

    case: str
    attack: str
    epsilon_8bit: int
    transform: str
    direction: str
    end: float
    n: int
    n_censored: int
    steps: tuple[tuple[float, int, float, float], ...]
    median: float | None
    low: float | None
    high: float | None
