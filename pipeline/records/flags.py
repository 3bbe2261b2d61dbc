"""Warnings about a run and its model, and their limits; what each means stands in `report/flags.toml`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelFlag:
    """One warning about the network under test; `name` is one of `report/flags.toml`, `detail` the numbers that were measured."""

    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class FlagRow:
    """One warning about a run's numbers: what it concerns, the number that was measured, its limit, and both in words.

    `flag` is one of `report/flags.toml`. `attack` and `epsilon_8bit` name a cell, `case` and `top_k` narrow it, `page` and
    `photo` name a photograph; "", 0 and None stand where a flag concerns all of them. `transform` is "photo" or "source", where
    the number is of one of the two.
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
# Within it any image can become mid-grey.
BOUNDLESS_EPSILON = 128
