"""What a defence says of itself, and the defences by name; a new one is a class in `defences` and an entry here."""

from dataclasses import dataclass
from operator import attrgetter

from pipeline.core.registry import Registry


@dataclass(frozen=True)
class DefenceSpec:
    """A map from a classifier to a classifier.

    Attributes:
        title, summary: what a reader calls it; one line for a person.
        make: "module:Class" of (classifier, options) -> classifier, imported when it is used.
        options: the record of its options, as "module:Record".
        gradient: how attacks that know it see through it; one of GRADIENTS.
        refuses: whether it may refuse to answer, and so can only judge, not be the model under test.
        passes: how many passes of the network a prediction costs, and how many each answer that an attack asks for; the name
            of an option stands for its value.
    """

    name: str
    title: str
    summary: str
    make: str
    options: str
    gradient: str
    refuses: bool = False
    passes: tuple[int | str, int | str] = (1, 1)

    @property
    def shown(self) -> str:
        return self.name

    def n_passes(self, options: object) -> tuple[int, int]:
        """Returns how many passes of the network a prediction costs with these options, and an answer to an attack."""
        prediction, attack = (attrgetter(n)(options) if isinstance(n, str) else n for n in self.passes)
        return int(prediction), int(attack)


EXACT, BPDA, EOT = "exact", "bpda", "eot"
GRADIENTS = {
    EXACT: "its own derivative",
    BPDA: "forward as it is, backward as if it were not there or smooth (BPDA)",
    EOT: "the mean over draws (EOT)",
}

_HERE, _OPTIONS = "pipeline.defences", "pipeline.defences.options"
# fmt: off
_OWN = (
    DefenceSpec("bit-depth", "bit depth", "fewer bits a channel",
                f"{_HERE}.coding:BitDepth", f"{_OPTIONS}:BitDepthOptions", BPDA),
    DefenceSpec("jpeg", "JPEG", "saved once more as a JPEG file, 4:2:0",
                f"{_HERE}.coding:Jpeg", f"{_OPTIONS}:JpegOptions", BPDA),
    DefenceSpec("halftone", "halftone", "each channel as dots by error diffusion, then blurred",
                f"{_HERE}.coding:Halftone", f"{_OPTIONS}:HalftoneOptions", BPDA),
    DefenceSpec("gaussian", "Gaussian filter", "Gaussian blur",
                f"{_HERE}.smoothing:Gaussian", f"{_OPTIONS}:GaussianOptions", EXACT),
    DefenceSpec("median", "median filter", "the median of a square around each pixel",
                f"{_HERE}.smoothing:Median", f"{_OPTIONS}:MedianOptions", EXACT),
    DefenceSpec("bilateral", "bilateral filter", "the mean of near pixels of like colour",
                f"{_HERE}.smoothing:Bilateral", f"{_OPTIONS}:BilateralOptions", EXACT),
    DefenceSpec("total-variation", "total variation", "the nearest picture with little total variation",
                f"{_HERE}.smoothing:TotalVariation", f"{_OPTIONS}:TotalVariationOptions", BPDA),
    DefenceSpec("random-padding", "random padding", "made smaller at random, and put at a random place on black",
                f"{_HERE}.random_padding:RandomPadding", f"{_OPTIONS}:RandomPaddingOptions", EOT, passes=(1, "n_expected")),
    DefenceSpec("randomised-smoothing", "randomised smoothing", "the class that most copies with Gaussian noise are given",
                f"{_HERE}.randomised_smoothing:RandomisedSmoothing", f"{_OPTIONS}:RandomisedSmoothingOptions", EOT,
                passes=("n_samples", "n_expected")),
    DefenceSpec("feature-squeezing", "feature squeezing", "refuses a picture of which squeezed copies are answered otherwise",
                f"{_HERE}.squeezing:FeatureSqueezing", f"{_OPTIONS}:SqueezingOptions", BPDA, refuses=True, passes=(3, 3)),
)
# fmt: on

DEFENCES = Registry("defence", DefenceSpec, {spec.name: spec for spec in _OWN}, "inkproof.defences")
