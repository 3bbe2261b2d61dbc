"""What a plan is made of: what is assumed, what each cell will tell, what it costs, and how to print less."""

from dataclasses import dataclass, field

from pipeline.core.errors import WrongUse

Block = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What is not known before printing; each is replaced by what the run knows, where it knows it.

    `clean_accuracy` and `fooled_rate`: of the images drawn for the average case those that the model gets right, and of these
    those that an attack fools it on. `rate`: the destruction rate whose interval is told. `page_correlation`: of two images of a
    page.
    """

    seconds_per_page: float = 15.0
    clean_accuracy: float = 0.75
    fooled_rate: float = 0.8
    rate: float = 0.5
    page_correlation: float = 0.1
    darkness: float = 0.5
    wished_half_width: float = 0.1

    def __post_init__(self) -> None:
        for name in ("clean_accuracy", "fooled_rate", "rate", "page_correlation", "darkness"):
            if not 0 <= getattr(self, name) <= 1:
                raise WrongUse(f"{name} = {getattr(self, name):g}: expected 0 to 1.")
        if not 0 < self.wished_half_width < 0.5:
            raise WrongUse(f"wished_half_width = {self.wished_half_width:g}: expected more than 0 and less than 0.5.")
        if not 0 <= self.seconds_per_page < float("inf"):
            raise WrongUse(f"seconds_per_page = {self.seconds_per_page:g}: expected 0 or more.")


@dataclass(frozen=True, slots=True)
class PlannedCell:
    """What one cell will know (top-1): `known` is "measured" on the files, "selected" (clean images judged) or "assumed"."""

    case: str
    attack: str
    epsilon_8bit: int
    n_images: int
    n_eligible: int
    known: str
    n_pages: int
    n_effective: float
    rate: float
    half_width: float | None
    detectable_difference: float | None


@dataclass(frozen=True, slots=True)
class Cost:
    """What one attack at one epsilon costs, in pairs and in pages."""

    attack: str
    epsilon_8bit: int
    n_pairs: int
    n_pages: float


@dataclass(frozen=True, slots=True)
class StageWork:
    """What a stage has to do, and how long that takes where an earlier run was made."""

    stage: str
    unit: str
    n: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Work:
    """What a machine has to do: without an earlier run (`like` is "") only how many pictures are judged, a forward pass each.

    Passes are those of the attacks; `unknown` are attacks with their epsilon that the earlier run does not have, and that are
    counted nowhere. `kept_bytes` by folder.
    """

    like: str
    n_judged: int
    n_forward: int | None = None
    n_backward: int | None = None
    stages: tuple[StageWork, ...] = ()
    kept_bytes: dict[str, int] = field(default_factory=dict)
    unknown: tuple[Block, ...] = ()

    @property
    def hours(self) -> float:
        """All stages, one after the other."""
        return sum(stage.seconds for stage in self.stages) / 3600


@dataclass(frozen=True, slots=True)
class Proposal:
    """A way to print less: the words to type, what is left, and the widest interval then, as half its width."""

    what: str
    words: str
    n_pages: int
    image_mm: float
    widest_half_width: float | None


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole plan. Ink is in cm² of solid colour, coverage its share of the pages; on a screen neither is used."""

    run: str
    medium: str
    pairs_from: str
    n_pairs: int
    pairs_per_page: int
    image_mm: float
    n_pages: int
    n_sheets: int
    image_area_cm2: float
    ink_cm2: float
    coverage_rate: float
    darkness: float
    darkness_from: str
    photographing_s: float
    cells: tuple[PlannedCell, ...]
    costs: tuple[Cost, ...]
    proposals: tuple[Proposal, ...]
    n_images_for_wish: int | None
    work: Work
    warnings: tuple[str, ...]
    assumptions: Assumptions
