"""Every picture that a model is asked about, and what it said."""

from dataclasses import dataclass

PHOTO = "photo"
SOURCE = "source"
# Where a photograph comes from: a person's camera or the simulated one.
CAMERA, SIMULATED, DIGITAL = "camera", "simulated", "digital"
# How many of the likeliest labels are kept of each answer.
N_LABELS = 5
TOP_KS = (1, N_LABELS)
# The label of an answer that was refused.
REFUSED = -2
# What the model under test is called where others judge beside it.
ATTACKED_MODEL = "attacked model"


def top_ks_for(n_ranked: int) -> tuple[int, ...]:
    """Returns the k of which top-k says something of a model whose answers put so many classes in order.

    1 and 5; of fewer than six classes one is always left out, and one that gives a label and no scores has top-1 alone.
    """
    return tuple(dict.fromkeys((1, max(1, min(N_LABELS, n_ranked - 1)))))


@dataclass(frozen=True, slots=True)
class View:
    """One image that is judged: a source file, a digital transform of it, or a crop from a photograph.

    `transform` is "source", "photo" or the name of a digital transform, whose value is `parameter`. `attack` is "" and
    `epsilon_8bit` 0 for a clean image. `pair_id` is set where the view belongs to one printed pair. `path` is "" for a
    transform that is made when it is needed; `sha256` is of its 8-bit pixels, "" of one that was not made yet.
    """

    view_id: str
    image_id: str
    variant: str
    attack: str
    epsilon_8bit: int
    pair_id: str
    transform: str
    parameter: float | None
    path: str
    sha256: str
    origin: str
    capture_id: str = ""
    counts: bool = True
    registration_error_px: float | None = None
    predicted_error_px: float | None = None
    sharpness: float | None = None
    photo_px_per_image_px: float | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prediction:
    """The five likeliest labels of one view, best first, and the probability given to the true one."""

    view_id: str
    true_label: int
    labels: tuple[int, ...]
    probabilities: tuple[float, ...]
    true_probability: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one judge (a model that was not attacked, or somebody outside) says of one saved file or of one photograph of it.

    `transform` is "source" or "photo". `labels` are classes of the attacked model, best first: of a model five, or as many as
    `top_ks_for` its classes; of somebody outside as many as were told; -1 is an answer that is none of them, REFUSED that none
    was given. `names` are the same in the judge's words. `probabilities` is () where none was told. `sha256` is of the 8-bit
    pixels that were judged; of a photograph that was judged outside, of the file that was printed.
    """

    judge: str
    view_id: str
    image_id: str
    pair_id: str
    variant: str
    transform: str
    origin: str
    true_label: int
    labels: tuple[int, ...]
    names: tuple[str, ...]
    probabilities: tuple[float, ...]
    sha256: str
    is_imported: bool
