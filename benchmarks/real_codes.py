"""How many codes of real photographs each decoder and treatment reads, and in what time.

Every photograph is read as it is and made harder in ways that photographs are: fewer pixels, blur, a narrow view from the side, a
bottle's curve, shadow, a lamp. A code counts as read where its text is the one that lies beside the photograph (`NAME.txt`), or,
without one, where it is what any treatment reads most often.
"""

import argparse
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from pipeline.physical.fiducials.detection import read_treated
from pipeline.physical.fiducials.pyramid import Pyramid
from pipeline.physical.fiducials.treatments import treatments

_SUFFIXES = {".png", ".jpg", ".jpeg"}
_NOISE_8BIT = 1.5
Grey = np.ndarray


def shrunk(grey: Grey, across: float, down: float) -> Grey:
    return cv2.resize(grey, None, fx=1 / across, fy=1 / down, interpolation=cv2.INTER_AREA)


def blurred(grey: Grey, sd_px: float) -> Grey:
    return cv2.GaussianBlur(grey, (0, 0), sd_px)


def with_lamp(grey: Grey, strength: float) -> Grey:
    """Returns the photo with a lamp mirrored in its middle."""
    x, y = _places(grey)
    lamp = strength * np.exp(-(x**2 + y**2) / 0.16)
    light = _light(grey)
    return _levels(light + lamp * (0.35 + light))


def in_shadow(grey: Grey, softness: float) -> Grey:
    """Returns the photo with two thirds of it in a shadow that leaves 6 % of the light."""
    x, y = _places(grey)
    return _levels(_light(grey) * (0.06 + 0.94 / (1 + np.exp(-(x + 0.3 * y - 0.35) / softness))))


def bent(grey: Grey, angle: float) -> Grey:
    """Returns the photo on a cylinder that turns away by `angle` radians at both sides."""
    height, width = grey.shape
    x, _ = _places(grey)
    across = np.arcsin(np.clip(x * np.sin(angle), -1, 1)) / angle
    down = np.broadcast_to(np.arange(height, dtype=np.float32)[:, None], grey.shape)
    return cv2.remap(grey, ((across + 1) * width / 2).astype(np.float32), np.ascontiguousarray(down), cv2.INTER_LINEAR)


def _places(grey: Grey) -> tuple[np.ndarray, np.ndarray]:
    """Returns x and y of each pixel, -1 to 1 from side to side."""
    height, width = grey.shape
    return np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))


def _light(grey: Grey) -> np.ndarray:
    return (grey / 255.0) ** 2.2


def _levels(light: np.ndarray) -> Grey:
    return np.rint(255 * np.clip(light, 0, 1) ** (1 / 2.2)).astype(np.uint8)


_HARDER: dict[str, Callable[[Grey], Grey]] = {
    "as it is": lambda grey: grey,
    **{f"{f} times smaller": lambda grey, f=f: shrunk(grey, f, f) for f in (2, 2.6, 3.2, 4)},
    **{f"blurred by {s} px": lambda grey, s=s: blurred(grey, s) for s in (1.5, 2.2, 3)},
    **{f"{f} times narrower": lambda grey, f=f: shrunk(grey, f, 1) for f in (2.2, 3.3)},
    "2.2 times lower": lambda grey: shrunk(grey, 1, 2.2),
    **{f"bent by {a} rad": lambda grey, a=a: bent(grey, a) for a in (1.2, 1.45)},
    **{f"shadow, edge {s}": lambda grey, s=s: in_shadow(grey, s) for s in (0.01, 0.08)},
    **{f"lamp {s}": lambda grey, s=s: with_lamp(grey, s) for s in (0.6, 1.2, 2.4)},
}


def main() -> None:
    """Prints a row a treatment, in the order of the search, and a row a way to be hard."""
    default = Path(os.environ.get("INKPROOF_DATA") or Path(__file__).parents[2] / "shared" / "data") / "real_qr"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=default, help="photographs, in folders of any depth")
    parser.add_argument("--as-they-are", action="store_true", help="do not make the photographs harder")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    harder = {"as it is": _HARDER["as it is"]} if options.as_they_are else _HARDER
    photos = sorted(path for path in options.folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not photos:
        parser.error(f"{options.folder} holds no photographs")
    names: dict[str, None] = {}
    seconds: Counter[str] = Counter()
    read: dict[str, set[tuple[Path, str]]] = {}
    for path in photos:
        original = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        seen = {way: _read(original, way, harder, names, seconds) for way in harder}
        wanted = _wanted(path, [text for texts in seen.values() for each in texts.values() for text in each])
        for way, texts in seen.items():
            for name, each in texts.items():
                read.setdefault(name, set()).update({(path, way)} if wanted in map(_plain, each) else ())
    _print(names, seconds, read, len(photos), list(harder))


def _read(
    original: Grey, way: str, harder: dict[str, Callable[[Grey], Grey]], names: dict[str, None], seconds: Counter[str]
) -> dict[str, list[str]]:
    grey = harder[way](original)
    if way != "as it is":
        noise = np.random.default_rng(0).normal(0, _NOISE_8BIT, grey.shape)
        grey = np.clip(grey + noise, 0, 255).astype(np.uint8)
    texts = {}
    for treatment in treatments(Pyramid(grey)):
        name = f"{treatment.decoder}, {treatment.name}"
        names[name] = None
        pyramid = Pyramid(grey)
        started = time.perf_counter()
        texts[name] = [one.text for one in read_treated(pyramid, treatment)]
        seconds[name] += time.perf_counter() - started
    return texts


def _wanted(path: Path, texts: list[str]) -> str:
    beside = path.with_suffix(".txt")
    if beside.exists():
        return _plain(beside.read_text(encoding="utf-8", errors="replace"))
    return max(Counter(map(_plain, texts)).items(), key=lambda item: item[1])[0] if texts else ""


def _plain(text: str) -> str:
    return text.replace("\r", "").strip()


def _print(
    names: dict[str, None], seconds: Counter[str], read: dict[str, set[tuple[Path, str]]], n_photos: int, ways: list[str]
) -> None:
    n, found, spent = n_photos * len(ways), set(), 0.0
    print(f"{n_photos} photographs, {len(ways)} ways: {n} codes")
    print(f"{'treatment':50} {'alone':>6} {'new':>5} {'so far':>6} {'ms each':>8} {'new a second':>12}")
    for name in names:
        new = read[name] - found
        found |= new
        spent += seconds[name]
        print(
            f"{name:50} {len(read[name]):6d} {len(new):5d} {len(found):6d} {1000 * seconds[name] / n:8.2f}"
            f" {len(new) / seconds[name]:12.1f}"
        )
    alone = read["zxing-cpp, as it is"]
    print(f"all of them: {len(found)} of {n}, {1000 * spent / n:.1f} ms each; zxing-cpp as it is: {len(alone)}")
    for way in ways:
        counts = [sum(each == way for _, each in codes) for codes in (alone, found)]
        print(f"  {way:24} zxing-cpp {counts[0]:3d}, all {counts[1]:3d} of {n_photos}")


if __name__ == "__main__":
    main()
