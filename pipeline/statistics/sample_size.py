"""How many images a question needs: for an interval of a wished width, and for a difference to be seen."""

from bisect import bisect_left
from math import ceil, floor, sqrt

from pipeline.statistics.intervals import normal_quantile, score_interval

MOST_IMAGES = 10**9


def half_width(rate: float, n_effective: float, confidence: float = 0.95) -> float | None:
    """Returns half the width of the Wilson interval that `n_effective` independent images give; None without images."""
    if n_effective <= 0:
        return None
    return _half_width(rate, n_effective, confidence)


def n_for_half_width(wished: float, rate: float = 0.5, design_effect: float = 1.0, confidence: float = 0.95) -> int:
    """Returns the least number of eligible images whose Wilson interval has at most the wished half-width.

    Args:
        wished: half the width, in (0, 0.5).
        rate: the rate that is expected; 0.5 is the worst case.
        design_effect: by how much images that share pages are worth less, at least 1.
    """
    if not 0 < wished < 0.5 or not 0 <= rate <= 1 or design_effect < 1:
        raise ValueError(f"expected 0 < wished < 0.5, a rate and a design effect of 1 or more; got {wished, rate, design_effect}")
    counts = range(1, MOST_IMAGES)
    return 1 + bisect_left(counts, True, key=lambda n: _half_width(rate, n / design_effect, confidence) <= wished)


def n_for_difference(
    difference: float, discordant_rate: float, power: float = 0.8, level: float = 0.05, design_effect: float = 1.0
) -> int:
    """Returns how many paired images McNemar's test needs to see a difference of two rates with the wished power.

    Connor 1987, *Sample size for testing differences in proportions for the paired-sample design*, Biometrics 43: the normal
    approximation; the exact test needs a few images more where few are discordant.

    Args:
        difference: of the two rates, not 0.
        discordant_rate: share of the images that are a success of one alone; at least |difference|.
        level: of the two-sided test; divide it by the number of comparisons of a table.
    """
    gap = abs(difference)
    if not 0 < gap <= discordant_rate <= 1 or not 0 < power < 1 or not 0 < level < 1 or design_effect < 1:
        raise ValueError(
            "expected 0 < |difference| <= discordant_rate <= 1, power and level in (0, 1), a design effect of 1 or more; got "
            f"{difference, discordant_rate, power, level, design_effect}"
        )
    z_level, z_power = normal_quantile(1 - level / 2), normal_quantile(power)
    root = z_level * sqrt(discordant_rate) + z_power * sqrt(max(0.0, discordant_rate - gap * gap))
    return ceil(design_effect * root * root / (gap * gap))


def detectable_difference(n: float, discordant_rate: float, power: float = 0.8, level: float = 0.05) -> float | None:
    """Returns the smallest difference of two rates that `n` paired images show with the wished power; None where there is none.

    Args:
        n: paired images, or their effective number.
    """
    most = floor(n)
    if n <= 0 or n_for_difference(discordant_rate, discordant_rate, power, level) > most:
        return None
    # Connor's equation is quadratic in the share of the standard deviation that the difference leaves
    z_level, z_power = normal_quantile(1 - level / 2), normal_quantile(power)
    product, whole = z_level * z_power, most + z_power**2
    left = (sqrt(max(0.0, product**2 + whole * (most - z_level**2))) - product) / whole
    return sqrt(discordant_rate * (1 - left**2))


def _half_width(rate: float, n_effective: float, confidence: float) -> float:
    low, high = score_interval(rate * n_effective, n_effective, confidence)
    return (high - low) / 2
