"""The frozen records that flow between the stages: typed, counted, and written to disk as they are.

Paths in records are relative to the run's own folder (`printouts/<run>`, `captures/<run>`), with forward slashes.
Lengths on paper are millimetres from the page's top left corner, x to the right and y down.
"""

from dataclasses import dataclass, field

VARIANTS = ("clean", "adversarial")
CASES = ("average", "prefiltered")
CORNERS = ("TL", "TR", "BR", "BL")
PHOTO = "photo"
SOURCE = "source"
# What the model under test is called where others judge beside it.
ATTACKED_MODEL = "attacked model"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One image that could be drawn: what the model says of the clean 8-bit file at its input size."""

    image_id: str
    true_label: int
    true_name: str
    path: str
    sha256: str
    top_labels: tuple[int, ...]
    top_probabilities: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Selected:
    """One image drawn for one cell (attack and epsilon) of one case."""

    case: str
    attack: str
    epsilon_8bit: int
    image_id: str


@dataclass(frozen=True, slots=True)
class CellFill:
    """How far one cell was filled: `n_found` of `n_wanted` images, after looking at `n_tried` candidates."""

    case: str
    attack: str
    epsilon_8bit: int
    n_wanted: int
    n_found: int
    n_tried: int


@dataclass(frozen=True, slots=True)
class Pair:
    """A clean image and the adversarial image made from it; distances are of the saved 8-bit files.

    `epsilon_8bit` is 0 for attacks that take none. `rounding`: what rounding did to a minimum-norm attack's result, see ROUNDING.
    """

    pair_id: str
    image_id: str
    attack: str
    epsilon_8bit: int
    cases: tuple[str, ...]
    true_label: int
    target_label: int | None
    clean_path: str
    adversarial_path: str
    linf_8bit: int
    l2_8bit: float
    ssim: float
    n_forward: int
    n_backward: int
    n_changed_pixels: int = 0
    rounding: str = ""


# What rounding to 8 bits did to the result of a minimum-norm attack.
ROUNDING = {
    "kept": "the rounded image still fools the network",
    "repaired": "rounding undid the attack, and a search over neighbouring 8-bit values mended it",
    "lost": "rounding undid the attack, and no neighbouring 8-bit values mended it; the clean image is saved",
    "not-found": "the attack found no adversarial image; the clean image is saved",
}


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one image of a pair is printed. The box is the image's own edge, without frame or caption."""

    page: int
    pair_id: str
    variant: str
    path: str
    x_mm: float
    y_mm: float
    width_mm: float
    height_mm: float
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True)
class Fiducial:
    """Where one QR code is printed. The box is its dark modules' extent, without the quiet zone."""

    page: int
    corner: str
    payload: str
    x_mm: float
    y_mm: float
    size_mm: float


@dataclass(frozen=True, slots=True)
class Tag:
    """Where one AprilTag (family 36h11) is printed, beside the code of its corner. The box is its black border's outer edge."""

    page: int
    corner: str
    tag_id: int
    x_mm: float
    y_mm: float
    size_mm: float


@dataclass(frozen=True, slots=True)
class Mark:
    """Where one registration mark is printed: two black squares that meet at (x, y), upper left and lower right of a 2 x 2 board.

    `size_mm` is the side of the whole board.
    """

    page: int
    x_mm: float
    y_mm: float
    size_mm: float


@dataclass(frozen=True, slots=True)
class Patch:
    """One patch of the printed colour strip and the 8-bit colour that it was sent to the printer with."""

    page: int
    red: int
    green: int
    blue: int
    x_mm: float
    y_mm: float
    width_mm: float
    height_mm: float


@dataclass(frozen=True, slots=True)
class Printout:
    """The geometry of a printable PDF, or of pages for a screen. Pages are numbered from 1; the instruction sheet has number 0.

    On a screen (`medium` "screen") a millimetre is 96 / 25.4 pixels of the page's picture.
    """

    format_version: int
    run: str
    run_code: str
    paper: str
    orientation: str
    page_width_mm: float
    page_height_mm: float
    dpi: int
    module_mm: float
    n_pages: int
    pdf_sha256: str
    placements: tuple[Placement, ...] = field(default=())
    fiducials: tuple[Fiducial, ...] = field(default=())
    medium: str = "paper"
    tags: tuple[Tag, ...] = field(default=())
    marks: tuple[Mark, ...] = field(default=())
    patches: tuple[Patch, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Capture:
    """One picture of one page.

    `frame` tells which page of a scan or which moment of a video ("page 3", "1.40 s"), "" for a photo. `photo_from_page` and
    `residual_px` are the numbers of a `PageMap` from page mm to photo pixels (None and () where nothing was registered).
    `reprojection_rms_px` is how far the printed points lie from where that map puts them. `colour` is "strip" where crops were
    normalised to the printed strip, else "". `trouble` says what was wrong with the picture and what to do. `scan_dpi` is the
    resolution that a scanner wrote into the file, None where there is none or a camera took the picture.
    """

    capture_id: str
    photo: str
    frame: str
    sha256: str
    device: str
    taken_at: str
    origin: str
    width_px: int
    height_px: int
    page: int | None
    n_codes: int
    n_points: int
    reprojection_rms_px: float | None
    photo_from_page: tuple[float, ...] | None
    residual_px: tuple[float, ...]
    tilt_deg: float | None
    colour: str
    trouble: str
    counts: bool
    scan_dpi: float | None = None


@dataclass(frozen=True, slots=True)
class Discard:
    """A photo, or one crop of it, that was not used; `reason` is from the closed list DISCARD_REASONS."""

    photo: str
    capture_id: str
    page: int | None
    pair_id: str
    variant: str
    reason: str
    detail: str


DISCARD_REASONS = {
    "unreadable": "the file is not an image that can be read",
    "no-code": "no QR code of any kind was found",
    "foreign-code": "QR codes were found, but none is from this tool",
    "other-run": "the codes belong to another run or to an earlier layout of this run",
    "calibration": "a photo of the calibration page: see inkproof calibrate",
    "linked": "a link that leads out of the photos folder is not followed",
    "repeated-page": "the same page is in the photo more than once",
    "mirrored": "the print or the photo is mirrored",
    "missing-code": "fewer than four codes could be read and the setting is strict",
    "unregistered": "the codes found do not agree on one page position",
    "outside": "the crop reaches beyond the edge of the photo",
    "unplaced": "too little of the page was recognised to say where this crop lies",
    "duplicate": "the same file was already used",
    "superseded": "a better photo of the same page is used",
}


@dataclass(frozen=True, slots=True)
class View:
    """One image that is judged: a source file, a digital transform of it, or a crop from a photograph.

    `transform` is "source", "photo" or the name of a digital transform, whose value is `parameter`. `attack` is "" and
    `epsilon_8bit` 0 for a clean image. `pair_id` is set where the view belongs to one printed pair. `path` is "" for a
    transform that is made again when it is needed; `sha256` is of its 8-bit pixels either way.
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
class CropQuality:
    """What was measured of one crop, and what is wrong with it; `flags` are keys of CROP_FLAGS, None what could not be measured.

    `mtf50_cycles_per_px` is where the contrast of the printed codes' edges falls to one half, in cycles per image pixel.
    White, black and noise are in 8-bit units of the photo; `cast_8bit` is red minus green and blue minus green on printed white;
    `clipped_rate` is the share of the crop's photo pixels at 255 in any channel or 0 in all.
    """

    view_id: str
    predicted_error_px: float
    registration_error_px: float | None
    mtf50_cycles_per_px: float | None
    white_8bit: float | None
    black_8bit: float | None
    cast_red_8bit: float | None
    cast_blue_8bit: float | None
    noise_8bit: float | None
    clipped_rate: float
    photo_px_per_image_px: float
    tilt_deg: float
    flags: tuple[str, ...]


CROP_FLAGS = {
    "uncertain": "its predicted registration error is above the limit",
    "soft": "the photo is too blurred to show single image pixels",
    "coarse": "the photo has too few pixels for each image pixel",
    "dark": "the paper beside it is underexposed",
    "clipped": "too many of its pixels are over- or underexposed (glare?)",
    "flat": "printed black and white are too close together",
    "cast": "printed white is tinted",
    "noisy": "the photo's noise is stronger than a weak attack",
    "tilted": "the camera looked at the page too much from the side",
}


@dataclass(frozen=True, slots=True)
class Prediction:
    """The five likeliest labels of one view, best first, and the probability given to the true one."""

    view_id: str
    true_label: int
    labels: tuple[int, ...]
    probabilities: tuple[float, ...]
    true_probability: float


@dataclass(frozen=True, slots=True)
class AccuracyRow:
    """How many of the images of one cell are classified right under one condition (the paper's Tables 1 and 2).

    `interval` is a key of INTERVALS. In photographs the images lie on `n_clusters` pages, and are worth as much as `n_effective`
    independent ones; both are None elsewhere.
    """

    case: str
    attack: str
    epsilon_8bit: int
    variant: str
    transform: str
    parameter: float | None
    origin: str
    top_k: int
    n_correct: int
    n_images: int
    n_discarded: int
    accuracy: float | None
    low: float | None
    high: float | None
    interval: str = "wilson"
    n_clusters: int | None = None
    n_effective: float | None = None


@dataclass(frozen=True, slots=True)
class RateRow:
    """One adversarial destruction rate (Kurakin et al. 2016, Eq. 1): `n_hit` of `n_eligible`, None where none is eligible.

    `interval`, `n_clusters` and `n_effective` are those of AccuracyRow, of the eligible images.
    """

    case: str
    attack: str
    epsilon_8bit: int
    transform: str
    parameter: float | None
    origin: str
    top_k: int
    n_hit: int
    n_eligible: int
    n_images: int
    n_discarded: int
    destruction_rate: float | None
    low: float | None
    high: float | None
    interval: str = "wilson"
    n_clusters: int | None = None
    n_effective: float | None = None


INTERVALS = {
    "wilson": "Wilson's interval of independent images",
    "cluster": "Wilson's interval of the effective number of images, which share pages (over all cells: or are attacked in more "
    "than one way)",
}


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """Two rates over the same `n` images, each image compared with itself; `difference` is the first minus the second.

    `kind` is a key of COMPARISONS, `quantity` of COMPARED_QUANTITIES. `n_both` images count for both rates, `n_first` and
    `n_second` for one alone. `interval`, `n_clusters` and `n_effective` are those of AccuracyRow, of the differences. `p` is
    McNemar's, `p_holm` is corrected over the `n_family` comparisons of one kind and top k that could be made. Rates, difference
    and p are None where n is 0.
    """

    kind: str
    quantity: str
    case: str
    top_k: int
    first_attack: str
    first_epsilon_8bit: int
    first_transform: str
    first_origin: str
    second_attack: str
    second_epsilon_8bit: int
    second_transform: str
    second_origin: str
    n: int
    n_both: int
    n_first: int
    n_second: int
    first_rate: float | None
    second_rate: float | None
    difference: float | None
    low: float | None
    high: float | None
    interval: str
    n_clusters: int | None
    n_effective: float | None
    p: float | None
    p_holm: float | None
    n_family: int


COMPARISONS = {
    "method": "two methods at the same ε",
    "epsilon": "two neighbouring ε of one method",
    "condition": "two conditions of the same images",
}
COMPARED_QUANTITIES = {
    "fooled_rate": "fooled, of the files that are right when clean",
    "destruction_rate": "destroyed, of the attacks that work as files",
    "clean_accuracy": "clean images classified right",
    "adversarial_accuracy": "adversarial images classified right",
}


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One observation of Kurakin et al. 2016, tested on the images of this run; `finding` is a key of FINDINGS.

    Where it has parts that must all be true, each has a row of its own, named by `part`, and the whole (`part` "") has the
    largest `p` of them. `origin` is that of the photographs, "digital" for transforms. `n` observations of `n_images` images are
    worth `n_effective` independent ones; `n_for` and `n_against` of them speak for one side alone, None where that says nothing.
    `p` speaks for the statement, `p_against` for its opposite, both one-sided by `test`, a key of FINDING_TESTS; the `_holm` ones
    are corrected over the `n_family` wholes of one origin. `verdict` is one of VERDICTS.
    """

    finding: str
    part: str
    origin: str
    test: str
    n: int
    n_images: int
    n_effective: float | None
    n_for: int | None
    n_against: int | None
    difference: float | None
    p: float | None
    p_against: float | None
    p_holm: float | None = None
    p_against_holm: float | None = None
    n_family: int = 0
    verdict: str = ""


FINDINGS = {
    "order": "fast < basic iterative < least-likely class, photographs",
    "top5": "top-5 destroyed at least as often as top-1, photographs",
    "epsilon": "destroyed less often as ε grows, photographs",
    "prefiltering": "prefiltering: iterative attacks more fragile, fast sturdier, photographs",
    "clean-loss": "clean images lose 1 to 11 points, photographs",
    "digital-order": "fast ≤ basic iterative ≤ least-likely class, transforms",
    "digital-top5": "top-5 destroyed at least as often as top-1, transforms",
    "photometric": "brightness and contrast: below 5 % (fast, basic), 20 % (least-likely)",
    "survivors": "no transform destroys every attack",
}
# All one-sided; docs/statistics.md says what each does.
FINDING_TESTS = {
    "mcnemar": "exact McNemar test",
    "mantel-haenszel": "Mantel-Haenszel test",
    "tost": "equivalence test",
    "binomial": "exact binomial test",
}
# Evidence for, evidence against, and neither: both p are 0.05 or more after correction.
VERDICTS = ("held", "not held", "cannot be told")


@dataclass(frozen=True, slots=True)
class PaperRow:
    """One number of Kurakin et al. 2016, Tables 1 to 3, beside this run's: `n_hit` of `n` with its 95 % interval.

    `quantity` is a key of PAPER_QUANTITIES, `origin` that of the photographs. `paper` is a share, of `paper_n` images where the
    paper says or lets infer of how many. `difference` is this run minus the paper; None where this run has nothing to count.
    """

    table: int
    case: str
    attack: str
    epsilon_8bit: int
    quantity: str
    top_k: int
    origin: str
    n_hit: int
    n: int
    rate: float | None
    low: float | None
    high: float | None
    paper: float
    paper_n: int | None
    difference: float | None

    @property
    def is_within(self) -> bool:
        """Whether the paper's number lies in this run's interval."""
        return self.n > 0 and self.low <= self.paper <= self.high


PAPER_QUANTITIES = {
    "photo_clean": "clean photographs classified right",
    "photo_adversarial": "adversarial photographs classified right",
    "source_clean": "clean files classified right",
    "source_adversarial": "adversarial files classified right",
    "destruction_rate": "attacks destroyed by photographs",
}


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


@dataclass(frozen=True, slots=True)
class AgainstRow:
    """One rate of two runs side by side, and whether they differ; `difference` is the first run's minus the second's.

    `table` is a key of AGAINST_TABLES, `quantity` of COMPARED_QUANTITIES; `attack` is "" where it is over all cells of the case.
    Each run's own rate is `hit` of `of` with its interval; `interval` and `n_effective` are those of AccuracyRow. `pairing`, a
    key of PAIRINGS, tells what difference, interval and p are made from. Where images are paired, `n` images count in both runs:
    `n_both` for both rates, `n_first` and `n_second` for one alone; `n_clusters` and `n_effective` are those of the differences,
    and p is McNemar's. Where they are not, n is 0 and p is Fisher's. `p_holm` is corrected over the `n_family` comparisons of one
    table and top k. Rates, difference and p are None where they have no image.
    """

    table: str
    quantity: str
    case: str
    attack: str
    epsilon_8bit: int
    transform: str
    parameter: float | None
    top_k: int
    first_origin: str
    first_hit: int
    first_of: int
    first_rate: float | None
    first_low: float | None
    first_high: float | None
    first_n_effective: float | None
    second_origin: str
    second_hit: int
    second_of: int
    second_rate: float | None
    second_low: float | None
    second_high: float | None
    second_n_effective: float | None
    pairing: str
    n: int
    n_both: int
    n_first: int
    n_second: int
    difference: float | None
    low: float | None
    high: float | None
    interval: str
    n_clusters: int | None
    n_effective: float | None
    p: float | None
    p_holm: float | None
    n_family: int


AGAINST_TABLES = {
    "overall": "all cells together",
    "photo": "photographs",
    "file": "files",
    "transform": "digital transforms",
}
PAIRINGS = {
    "file": "the same files in both runs",
    "image": "the same clean images, attacked in each run",
    "none": "different images",
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one judge (a model that was not attacked, or somebody outside) says of one saved file or of one photograph of it.

    `transform` is "source" or "photo". `labels` are classes of the attacked model, best first: five of a model, of somebody
    outside as many as were told; -1 is an answer that is none of them. `names` are the same in the judge's words.
    `probabilities` is () where none was told. `sha256` is of the 8-bit pixels that were judged; of a photograph that was judged
    outside, of the file that was printed.
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


@dataclass(frozen=True, slots=True)
class TransferRow:
    """How one cell's attack fares with one judge under one condition, which is the saved file or photographs of one origin.

    Of the `n_images` pairs that were judged, the judge gets the clean image of `n_clean_right` right and, of these, the
    adversarial one under this condition of `n_fooled` wrong. The clean image is the file, or the photograph where the judge
    never saw the file (`clean_from`). In photographs `n_control` of the `n_clean_right` have a clean photograph and
    `n_control_right` of these the judge gets right: what is missing there was lost to print and camera, not to the attack.
    `n_hit` of `n_eligible` is Eq. 1 for this judge. Rates are None where their n is 0 and where they cannot be known. In
    photographs the images share pages: `interval` and `n_clusters` are those of AccuracyRow, `fooled_n_effective` and
    `n_effective` the numbers of independent images that the two rates rest on.
    """

    case: str
    attack: str
    epsilon_8bit: int
    judge: str
    is_imported: bool
    transform: str
    origin: str
    top_k: int
    clean_from: str
    n_images: int
    n_clean_right: int
    n_fooled: int
    fooled_rate: float | None
    fooled_low: float | None
    fooled_high: float | None
    n_control: int
    n_control_right: int
    n_hit: int
    n_eligible: int
    destruction_rate: float | None
    low: float | None
    high: float | None
    interval: str = "wilson"
    n_clusters: int | None = None
    fooled_n_effective: float | None = None
    n_effective: float | None = None


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """The error of one run's model on the adversarial files of another run (Szegedy et al. 2013, Table 2), as a count.

    `n_wrong` of the `n_right` images that the model gets right when clean, of `n_images`. `kind` is "adversarial", or "noise":
    the same images with Gaussian noise of the same L2 norm. `mean_l2_8bit` is over the images counted.
    """

    case: str
    attack: str
    epsilon_8bit: int
    made_on: str
    judged_by: str
    kind: str
    n_wrong: int
    n_right: int
    n_images: int
    error_rate: float | None
    low: float | None
    high: float | None
    mean_l2_8bit: float | None


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """One rate measured on real photographs beside the one that simulated photographs predict, over the same `n` pairs.

    `quantity` is a key of COMPARED. `n_measured`, `n_predicted` and `n_both` of the pairs count for the measured rate, for the
    predicted one, and for both. Intervals are 95 %; `difference` is predicted minus measured. `interval`, `n_clusters` and
    `n_effective` are those of AccuracyRow, the last one of the differences. Rates are None where n is 0.
    """

    case: str
    attack: str
    epsilon_8bit: int
    quantity: str
    top_k: int
    n: int
    n_measured: int
    n_predicted: int
    n_both: int
    measured: float | None
    measured_low: float | None
    measured_high: float | None
    predicted: float | None
    predicted_low: float | None
    predicted_high: float | None
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    interval: str = "wilson"
    n_clusters: int | None = None
    n_effective: float | None = None

    @property
    def is_within(self) -> bool:
        """Whether the predicted rate lies in the measured one's interval."""
        return self.n > 0 and self.measured_low <= self.predicted <= self.measured_high


COMPARED = {
    "destruction_rate": "destruction rate",
    "clean_accuracy": "accuracy of clean photographs",
}


@dataclass(frozen=True, slots=True)
class ModelFlag:
    """One warning about the network under test; `name` is a key of MODEL_FLAGS, `detail` the numbers that were measured."""

    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class FlagText:
    """What a flag means to a person, in three sentences; one that `needs_gradient` is never raised on predictions alone."""

    raised_if: str
    why: str
    what_to_do: str
    needs_gradient: bool = False


MODEL_FLAGS = {
    "not-finite": FlagText(
        "A logit or a gradient is infinite or not a number.",
        "Comparisons with such a number are false, so an attack stands still or its result counts by accident; nothing "
        "else could be checked.",
        "Check the weights, the preprocessing and half precision; look for a division or a square root at zero.",
    ),
    "random": FlagText(
        "The same batch asked twice gives logits that differ by more than a hundred-thousandth of the largest.",
        "One draw decides what counts as a success, a gradient is that of one draw, and the run cannot be repeated. Gradients, "
        "single grey levels and neighbours in a batch could not be checked.",
        "Switch the randomness off, or attack the expectation over many draws and judge by the mean of many predictions.",
    ),
    "train-mode": FlagText(
        "An image's logits depend on the other images of its batch, or parts of the network are in training mode.",
        "Batch norm then normalises by the batch and dropout draws: a prediction belongs to the batch, not to the saved image.",
        "Call eval() where the network is built, and let nothing in forward call train() or ask for statistics of the batch.",
    ),
    "probabilities": FlagText(
        "Every row of outputs lies in [0, 1] and adds up to 1.",
        "The softmax of a softmax is nearly flat: confidences are wrong, the loss has little gradient, and margins are not "
        "margins of logits.",
        "Leave out the last softmax.",
    ),
    "log-probabilities": FlagText(
        "The exponentials of every row of outputs add up to 1.",
        "Cross-entropy and the difference of two outputs are those of the logits, but a single output is not: attacks that "
        "follow single outputs or sums of them (JSMA) meet another surface, and the log of a rounded softmax has no gradient.",
        "Leave out the last log-softmax.",
        needs_gradient=True,
    ),
    "zero-gradient": FlagText(
        "The gradient of the margin (best other logit minus the true one) is exactly zero in every pixel of an image.",
        "A gradient attack cannot move such an image; that says that the gradient is hidden, not that the network is robust.",
        "Look for rounding, argmax, detach() or no_grad() on the way; use attacks that transfer or ask for predictions only.",
        needs_gradient=True,
    ),
    "saturated-softmax": FlagText(
        "The gradient of the cross-entropy is zero in every pixel of an image although that of the margin is not.",
        "The logits lie so far apart that the softmax rounds to 0 and 1 (defensive distillation does this): attacks that follow "
        "the cross-entropy stand still, and seem to be withstood.",
        "Divide the logits by a temperature before the attack, or use attacks on the margin (Carlini-Wagner, DeepFool).",
        needs_gradient=True,
    ),
    "large-logits": FlagText(
        "On more than a quarter of the images float32 gets the cross-entropy's gradient with respect to the logits wrong by more "
        "than a tenth, without losing it.",
        "From a margin of about 15 on the true class's part is rounded away, so the first steps of a cross-entropy attack go "
        "elsewhere than its loss says.",
        "Divide the logits by a temperature before the attack, or use attacks on the margin (Carlini-Wagner, DeepFool).",
        needs_gradient=True,
    ),
    "saturating": FlagText(
        "More than a quarter of single pixels can be changed by one grey level in all channels without changing any logit by a "
        "single bit.",
        "The network, or what is done before it, rounds or clips: small changes vanish there, and attacks measured in grey "
        "levels look harder than they are.",
        "Take rounding, clipping or compression out of the model, or name it as the defence that is tested.",
    ),
    "input-range": FlagText(
        "The network gets many more images right (a quarter of them, and at least 3) when their pixels are scaled or ordered "
        "otherwise.",
        "A network that is fed wrongly is a weak one: whatever fools it says nothing about the network as it was trained.",
        "Set model.mean and model.std to what the network was trained with, or leave them out if it normalises by itself.",
    ),
    "gradient-mismatch": FlagText(
        "On more than a quarter of the images no difference quotient along the gradient's sign, at steps of 1/16 and of one grey "
        "level, is within half of what the gradient promises.",
        "The gradient that attacks follow is not that of the outputs (detached parts, a backward pass of its own): what "
        "withstands them may not be robust.",
        "Let gradients flow through all of the network, or judge it by transferred and black-box attacks too.",
        needs_gradient=True,
    ),
}


@dataclass(frozen=True, slots=True)
class FlagRow:
    """One warning about a run's numbers: what it concerns, the number that was measured, its limit, and both in words.

    `flag` is a key of RUN_FLAGS. `attack` and `epsilon_8bit` name a cell, `case` and `top_k` narrow it, `page` and `photo` name a
    photograph; "", 0 and None stand where a flag concerns all of them. `transform` is "photo" or "source", where the number is
    of one of the two.
    """

    flag: str
    message: str
    measured: float | None = None
    limit: float | None = None
    case: str = ""
    attack: str = ""
    epsilon_8bit: int = 0
    transform: str = ""
    top_k: int = 0
    page: int | None = None
    photo: str = ""


FEW_ELIGIBLE = 30
MANY_DISCARDS = 0.10
# The largest drop of the paper's Table 1 (clean images, top-1) is 10.8 points.
CLEAN_DROP = 0.11
# What printers and scanners vary by is a few tenths of a per cent; "fit to page" takes 3 to 6.
PRINT_SCALE = 0.01
PRINT_ASPECT = 0.005
LOW_RESOLUTION_PX = 1.5
ALIKE_RMS_8BIT = 5.0

RUN_FLAGS = {
    "simulated": FlagText(
        "A rate rests on photographs that come from a model of printer and camera.",
        "A model knows only what it was told of: no simulated photograph can show that an attack survives a real one.",
        "Print the pages, photograph them, and report the rates of the real photographs.",
    ),
    "few-eligible": FlagText(
        f"A destruction rate rests on fewer than {FEW_ELIGIBLE} attacks that work as files.",
        f"With {FEW_ELIGIBLE} a 95 % interval is up to 34 points wide, and with fewer wider still.",
        "Draw more images per cell, or read the intervals instead of the rates; inkproof plan tells how many are needed.",
    ),
    "not-filled": FlagText(
        "A cell holds fewer images than selection.n_images asks for.",
        "Cells of unequal size differ in their images too: those that no attack could fool are missing.",
        "Offer more images, or lower selection.min_confidence.",
    ),
    "many-discards": FlagText(
        f"More than {100 * MANY_DISCARDS:.0f} % of the photographs could not be used, or of a cell's pairs have no usable one.",
        "What is lost may not be lost at random: dark, glossy or outer images go first, and the rate is that of the others.",
        "Photograph those pages again: flat, all four codes in the picture, no glare.",
    ),
    "clean-drop": FlagText(
        f"Clean images are classified right in photographs more than {100 * CLEAN_DROP:.0f} points less often than as files "
        "(top-1, the same images), and the 95 % interval of the difference leaves out 0. The limit is the paper's largest.",
        "Print and camera alone then change predictions: what looks like a surviving attack may be an unrecognisable picture.",
        "Look at the crops and their quality flags: focus, light, size on paper; read the clean photographs beside every rate.",
    ),
    "page-scaled": FlagText(
        f"A page's width to height is off by more than {100 * PRINT_ASPECT:g} %, in a scan or in a photo from straight above; or "
        f"a scan shows the page more than {100 * PRINT_SCALE:g} % larger or smaller than it was laid out.",
        "The printer resampled every image, which blurs a perturbation before any camera sees it, and sizes in mm are not true.",
        "Print again at 100 % (actual size), not with 'fit to page'; where only a scan is off, scan it again without scaling.",
    ),
    "low-resolution": FlagText(
        f"A photograph has fewer than {LOW_RESOLUTION_PX:g} of its pixels for each image pixel (median of its crops).",
        "Single image pixels cannot be told apart then: the perturbation is lost to the camera's distance, not to print.",
        "Go nearer, print fewer pairs on a page, or use the camera's full resolution; do not send photos through messengers.",
    ),
    "epsilon-exceeded": FlagText(
        "A saved adversarial file differs from its clean file by more than the cell's ε in some pixel.",
        "The cell is then stronger than its name says, and is compared with others as if it were not.",
        "Have the attack clip after rounding to 8 bits, or report the measured L∞ instead of ε.",
    ),
    "mixed-devices": FlagText(
        "The photographs that count were taken with more than one device, by their EXIF.",
        "Rates of two cameras are pooled; where one took the pages of one cell only, cameras pass for attacks.",
        "Use one device in a run, or one run a device, and compare the runs.",
    ),
    "duplicates": FlagText(
        f"Two of the drawn images are one picture (at 16 x 16 pixels they differ by less than {ALIKE_RMS_8BIT:g} levels RMS), or "
        "two photographs that both count are one.",
        "The same picture counts twice, so n is larger than what is known, and intervals are too narrow.",
        "Take copies out of the images and of the photos folder. (Copies of a photo file, byte by byte, never count.)",
    ),
    "model": FlagText(
        "The examination of the network under test raised one of the flags about the model, below.",
        "What an attack on a network with a hidden gradient or a wrong input does says little about attacks.",
        "Read what that flag says; the report's section About the model has the numbers.",
    ),
}
