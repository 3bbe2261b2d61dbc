"""What a report is made of: one frozen record that holds every number, name and picture that the pages show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline import records
from pipeline.document.blocks import Block


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The network under test; `input_size_px` is (width, height), `fingerprint` the hash of its weights and preprocessing.

    `n_ranked` is how many of its classes its answers put in order, all where it is None: 1 where it gives a label alone.
    """

    name: str
    fingerprint: str
    input_size_px: tuple[int, int]
    n_classes: int
    differentiable: bool = True
    n_ranked: int | None = None


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """Where the images came from; `n_rejected` files could not be used."""

    name: str
    n_images: int
    n_classes: int
    n_rejected: int = 0


@dataclass(frozen=True, slots=True)
class CaptureQuality:
    """How well one photograph was taken and registered; `registration_error_px` is in crop pixels, known only in simulation.

    The last three are medians over the crops of the photograph, None where there is no crop.
    """

    capture_id: str
    photo: str
    page: int | None
    n_codes: int
    reprojection_rms_px: float | None
    registration_error_px: float | None
    sharpness: float | None
    photo_px_per_image_px: float | None


@dataclass(frozen=True, slots=True)
class GalleryView:
    """One picture, uint8 (H, W, 3) RGB, with the model's likeliest classes as (name, probability), best first."""

    pixels: np.ndarray = field(compare=False)
    predictions: tuple[tuple[str, float], ...]
    is_correct: bool


@dataclass(frozen=True, slots=True)
class GalleryItem:
    """One pair as the gallery shows it; the crops are None where there is no photograph."""

    image_id: str
    attack: str
    epsilon_8bit: int
    true_name: str
    clean: GalleryView
    adversarial: GalleryView
    photo_clean: GalleryView | None = None
    photo_adversarial: GalleryView | None = None
    cases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExplainedPicture:
    """One picture with its maps, float32 (H, W) by method, and its scores: of the class explained, and of the likeliest one.

    `variant` is "clean", "adversarial", "photo" (of the adversarial image) or "clean-photo".
    """

    variant: str
    pixels: np.ndarray = field(compare=False)
    maps: Mapping[str, np.ndarray] = field(compare=False)
    logit: float
    probability: float
    predicted_name: str
    predicted_probability: float
    is_correct: bool


@dataclass(frozen=True, slots=True)
class ExplainedPair:
    """What the model looks at in a pair, for one class."""

    image_id: str
    attack: str
    epsilon_8bit: int
    true_name: str
    explained_name: str
    pictures: tuple[ExplainedPicture, ...]


@dataclass(frozen=True, slots=True)
class Explanations:
    """The pairs that were explained, and how; `layer` is "" where there is no Grad-CAM, `target` as the setting says."""

    methods: Sequence[str]
    layer: str
    patch_px: int
    stride_px: int
    patch_value: str
    target: str
    pairs: tuple[ExplainedPair, ...]


@dataclass(frozen=True, slots=True)
class ReferenceRate:
    """A published destruction rate, in [0, 1], shown beside the run's own."""

    case: str
    attack: str
    epsilon_8bit: int
    top_k: int
    destruction_rate: float


@dataclass(frozen=True, slots=True)
class StudyPart:
    """What a study says in a report: `reference` names its paper, `rates` are published there.

    `observed` ends the results from photographs of one origin, or those from transforms ("digital"); `beside` is the section of
    a run that sets out to reproduce the paper. `lost_photos` says how many of its photographs the paper lost.
    """

    reference: str = ""
    lost_photos: str = ""
    rates: tuple[ReferenceRate, ...] = ()
    observed: Mapping[str, tuple[Block, ...]] = field(default_factory=dict)
    beside: tuple[Block, ...] = ()


@dataclass(frozen=True, slots=True)
class AgainstContent:
    """Another run beside this one: `first` is what this run is called, `second` the other.

    `differences` are the settings that differ as (name, first, second), `facts` what no setting tells, in the same form; `notes`
    say what was paired and what was not compared. `first_layer` is the other's.
    """

    first: str
    second: str
    differences: tuple[tuple[str, str, str], ...]
    facts: tuple[tuple[str, str, str], ...]
    notes: tuple[str, ...]
    rows: tuple[records.Comparison, ...]
    first_layer: tuple[records.Filter, ...] = ()


@dataclass(frozen=True)
class ReportContent:
    """Everything in a report. The same content gives the same bytes, so it holds no time, duration or host.

    `experiment_toml` is the experiment with every default filled in, `seed` the run's; the gallery is limited by the caller.
    `n_pages` were laid out, `printer` is what the user calls theirs, `profile` the one of simulated photographs. `reproduces`
    names the study that the run sets out to reproduce, `study` is what that one says, or the one that runs are read against.
    `defences` has, for each defence, the attack made on it for each attack on the model alone.
    `certified` holds what was proved of the images behind each randomised smoothing.
    `left_out` names the stages that failed and that the run went on without, each with the reason.

    Raises:
        ValueError: a row of photographs says that it is simulated and `simulated` is False.
    """

    run: str
    title: str
    experiment_toml: str
    versions: Mapping[str, str]
    seed: int
    model: ModelFacts
    dataset: DatasetFacts
    simulated: bool
    fills: tuple[records.CellFill, ...] = ()
    pairs: tuple[records.Pair, ...] = ()
    accuracies: tuple[records.Rate, ...] = ()
    rates: tuple[records.Rate, ...] = ()
    overall: tuple[records.Rate, ...] = ()
    n_pages: int = 0
    printer: str = ""
    profile: str = ""
    captures: tuple[records.Capture, ...] = ()
    discards: tuple[records.Discard, ...] = ()
    quality: tuple[CaptureQuality, ...] = ()
    gallery: tuple[GalleryItem, ...] = ()
    compared: tuple[records.Comparison, ...] = ()
    model_flags: tuple[records.ModelFlag, ...] = ()
    transfer: tuple[records.Transfer, ...] = ()
    defences: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    certified: tuple[records.Certificate, ...] = ()
    defence_rows: tuple[records.DefenceRow, ...] = ()
    first_layer: tuple[records.Filter, ...] = ()
    comparisons: tuple[records.Comparison, ...] = ()
    flags: tuple[records.FlagRow, ...] = ()
    survival: tuple[records.SurvivalCurve, ...] = ()
    explanations: Explanations | None = None
    findings: tuple[records.FindingRow, ...] = ()
    reproduces: str = ""
    study: StudyPart = StudyPart()
    against: AgainstContent | None = None
    left_out: tuple[tuple[str, str], ...] = ()

    @property
    def top_ks(self) -> tuple[int, ...]:
        """The k of the top-k that are counted of this model."""
        return records.top_ks_for(self.model.n_classes if self.model.n_ranked is None else self.model.n_ranked)

    @property
    def adaptive(self) -> set[str]:
        """The attacks that were made on a defence, which say nothing of the model alone."""
        return {made_on_it for of_defence in self.defences.values() for made_on_it in of_defence.values()}

    @property
    def digital_rates(self) -> tuple[records.Rate, ...]:
        """The destruction rates by digital transforms."""
        return tuple(row for row in self.rates if row.transform not in (records.PHOTO, records.SOURCE))

    @property
    def photo_origins(self) -> tuple[str, ...]:
        """Where the photographs that were judged come from: "camera", "simulated" or both, in this order."""
        return tuple(sorted({row.origin for row in (*self.accuracies, *self.rates) if row.transform == records.PHOTO}))

    @property
    def main_origin(self) -> str:
        """The origin that the front page speaks of: the camera where there is one, for nothing simulated stands in for it."""
        return next(iter(self.photo_origins), records.SIMULATED if self.simulated else records.CAMERA)

    def __post_init__(self) -> None:
        photos = [row.origin for row in (*self.accuracies, *self.rates) if row.transform == records.PHOTO]
        if records.SIMULATED in photos + [capture.origin for capture in self.captures if capture.counts] and not self.simulated:
            raise ValueError("expected simulated=True, since photographs of this run are simulated; got simulated=False")
