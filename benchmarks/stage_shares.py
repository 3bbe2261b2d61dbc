"""Where the time of the crop stage goes: the seconds spent in each step of reading a photo, by wrapping its functions."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from pipeline.images import limits
from pipeline.physical.registration import page, page_reading, photo_reading, quality

# What each step calls, by the module that looks it up there.
STEPS: dict[str, tuple[tuple[ModuleType, str], ...]] = {
    "file": ((photo_reading, "photo_tags"), (limits._Child, "ask")),  # type: ignore[dict-item]  # a class is looked up alike
    "grey": ((page_reading, "Pyramid"),),
    "points": ((page, "sights"),),
    "surface": ((page, "fit_surface"),),
    "codes, rest": ((page_reading, "register"),),
    "crops": ((page_reading, "crop"),),
    "PNG": ((page_reading, "quick_png_bytes"),),
    "sharpness": ((quality, "mtf50"),),
    "quality, rest": ((page_reading, "page_quality"), (page_reading, "crop_qualities"), (page_reading, "sharpness_of")),
    "truth": ((page_reading, "registration_errors"),),
    "overlay": ((page_reading, "draw_overlay"), (page_reading, "jpeg_bytes")),
}


@contextmanager
def timed_steps() -> Iterator[Counter[str]]:
    """Gives the seconds of each step so far, without those of the steps within it; "file" includes the child process."""
    spent: Counter[str] = Counter()
    within: list[float] = []

    def timed(step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            started = time.perf_counter()
            within.append(0.0)
            try:
                return function(*arguments, **named)
            finally:
                took = time.perf_counter() - started
                spent[step] += took - within.pop()
                if within:
                    within[-1] += took

        return call

    originals = [(where, name, getattr(where, name)) for places in STEPS.values() for where, name in places]
    for step, places in STEPS.items():
        for where, name in places:
            setattr(where, name, timed(step, getattr(where, name)))
    try:
        yield spent
    finally:
        for where, name, function in originals:
            setattr(where, name, function)
