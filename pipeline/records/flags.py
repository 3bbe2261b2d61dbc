"""Warnings about a run and its model, with their texts and limits."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FlagText:
    """What a flag means to a person, in three sentences; one that `needs_gradient` is never raised on predictions alone."""

    raised_if: str
    why: str
    what_to_do: str
    needs_gradient: bool = False


@dataclass(frozen=True, slots=True)
class ModelFlag:
    """One warning about the network under test; `name` is a key of MODEL_FLAGS, `detail` the numbers that were measured."""

    name: str
    detail: str


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
        "Divide the logits by a temperature before the attack, or use attacks on the margin (cw-l2, deepfool).",
        needs_gradient=True,
    ),
    "large-logits": FlagText(
        "On more than a quarter of the images float32 gets the cross-entropy's gradient with respect to the logits wrong by more "
        "than a tenth, without losing it.",
        "From a margin of about 15 on the true class's part is rounded away, so the first steps of a cross-entropy attack go "
        "elsewhere than its loss says.",
        "Divide the logits by a temperature before the attack, or use attacks on the margin (cw-l2, deepfool).",
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
# The largest drop that was published (Kurakin et al. 2016, Table 1: clean images, top-1) is 10.8 points.
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
        "(top-1, the same images), and the 95 % interval of the difference leaves out 0. The limit is the largest published.",
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
