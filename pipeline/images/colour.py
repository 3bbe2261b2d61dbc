"""The sRGB curve (IEC 61966-2-1) between stored values and linear light, for arrays and for tensors: written once."""

from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Values = TypeVar("Values", np.ndarray, "Tensor")

# Below these the curve is a straight line: as a stored value, and as light.
_STRAIGHT_VALUE, STRAIGHT_LIGHT = 0.04045, 0.0031308
_SLOPE, _SCALE, _OFFSET, _POWER = 12.92, 1.055, 0.055, 2.4


def linear_from_srgb(values: np.ndarray) -> np.ndarray:
    """Returns linear light in [0, 1] for sRGB values in [0, 1]."""
    return np.where(values <= _STRAIGHT_VALUE, values / _SLOPE, ((values + _OFFSET) / _SCALE) ** _POWER)


def srgb_from_linear(light: np.ndarray) -> np.ndarray:
    """Returns sRGB values in [0, 1] for linear light, which is cut to [0, 1]."""
    light = np.clip(light, 0, 1)
    return np.where(light <= STRAIGHT_LIGHT, _SLOPE * light, _SCALE * light ** (1 / _POWER) - _OFFSET)


def linear_levels() -> np.ndarray:
    """Returns the linear light, float64 (256,) in [0, 1], of every 8-bit sRGB value."""
    return linear_from_srgb(np.arange(256) / 255)


def with_s_curve(values: Values, contrast_rate: float) -> Values:
    """Returns values in [0, 1] bent by the S-curve v + c (3 v^2 - 2 v^3 - v): darker below the middle, brighter above."""
    return values + contrast_rate * (values * values * (3 - 2 * values) - values)


def write_srgb(light: "Tensor", value: "Tensor", slope: "Tensor") -> None:
    """Writes sRGB values in [0, 1] of linear light in [0, 1] into `value`, and 255 times their derivative into `slope`.

    In few passes: logarithm and exponential take a third of the time of a power, and the straight part goes on from the curve's.
    """
    import torch

    curved = light.clamp(min=STRAIGHT_LIGHT)
    torch.log(curved, out=value).mul_(1 / _POWER).exp_()
    torch.div(value, curved, out=slope).mul_(255 * _SCALE / _POWER)
    # 0 where the curve is not straight, and above 0 where it is; there the slope so far is that of the curve's end
    straight = curved.sub_(light)
    value.mul_(_SCALE).sub_(_OFFSET).sub_(straight, alpha=_SLOPE)
    missing = 255 * (_SLOPE - _SCALE / _POWER * STRAIGHT_LIGHT ** (1 / _POWER - 1))
    slope += torch.ops.aten.threshold_backward(slope.new_full((), missing).expand_as(slope), straight, 0)
