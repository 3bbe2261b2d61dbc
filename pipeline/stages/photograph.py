"""Photographs the pages with the simulated printer and phone, and keeps the true geometry beside each photo."""

import hashlib
import json
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from pipeline import engine
from pipeline.core.errors import Waiting
from pipeline.core.seeds import generator_for
from pipeline.engine import Context
from pipeline.images import picture_files, read_apart
from pipeline.physical.printing.document import page_file, page_raster
from pipeline.physical.simulator import Profile, encode_jpeg, load_profile, profile_content, simulate_photo
from pipeline.records import Printout
from pipeline.settings import Experiment
from pipeline.store import SIMULATED_PHOTOS, Run, content_hash, file_hash, json_bytes
from pipeline.store.artefacts import LAYOUT, SIMULATED_PHOTO_FILES, TRUTH
from pipeline.store.stage import Outcome


@dataclass(frozen=True)
class _Page:
    number: int
    name: str
    printed: Path
    background: Path | None
    key: str

    @property
    def photo(self) -> str:
        return SIMULATED_PHOTO_FILES.file(f"simulated-{self.name}")

    @property
    def truth(self) -> str:
        return TRUTH.file(self.name)


def photograph(experiment: Experiment, run: Run, context: Context) -> Outcome:
    """Writes `photos/simulated-page-<n>.jpg` and `truth/page-<n>.json` for every page, and those of the calibration page.

    Raises:
        Waiting: a person takes the photographs of this experiment, and none are to be predicted.
    """
    if not experiment.photograph.simulates:
        raise Waiting("These photographs are yours to take.", f"Put them into {run.photos}/")
    printout = LAYOUT.read(run)
    profile = load_profile(experiment.profile_place(experiment.photograph.profile))
    place = experiment.background_place()
    backgrounds = picture_files(place) if place else []
    # the calibration page is the PDF's last, after those of the layout
    n_pages = printout.n_pages + experiment.layout.calibration
    numbers = range(1, n_pages + 1)
    pages = [_page(number, run, printout, profile, backgrounds, experiment.seed) for number in numbers]
    todo = [page for page in pages if not _is_done(run, page)]
    work = partial(_photographed, printout=printout, profile=profile, seed=experiment.seed)
    for page, (jpeg, truth) in engine.map(work, todo, context, "pages"):
        run.files.write(run.captures / page.photo, jpeg)
        TRUTH.write(run, page.name, truth)
    _remove_others(run, pages)
    outputs = [name for page in pages for name in (page.photo, page.truth)]
    return Outcome(tuple(outputs), {"n_photos": len(pages), "profile": profile.name}, ("these photographs are simulated",))


def without_photograph(experiment: Experiment, run: Run, context: Context) -> Outcome:
    """Removes every simulated photograph, so that none of an earlier printout is taken for a prediction."""
    _remove_others(run, [])
    return Outcome((), {"n_photos": 0})


def true_geometry(run: Run, name: str) -> dict[str, Any] | None:
    """Returns what was kept of a simulated photo, its hash and its page map's numbers; None where that is missing or damaged."""
    try:
        truth: dict[str, Any] = json.loads((run.captures / TRUTH.file(name)).read_bytes())
        return truth if truth.pop("check") == content_hash(truth) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _page(number: int, run: Run, printout: Printout, profile: Profile, backgrounds: list[Path], seed: int) -> _Page:
    background = None
    identity = [printout.pdf_sha256, number, profile.name, profile_content(profile), seed]
    if backgrounds:
        background = backgrounds[generator_for(seed, "background", str(number)).integers(len(backgrounds))]
        identity.append(file_hash(background))
    name = f"page-{number:03d}" if number <= printout.n_pages else "calibration"
    return _Page(number, name, page_file(run.printouts, printout, number), background, content_hash(identity))


def _photographed(page: _Page, printout: Printout, profile: Profile, seed: int) -> tuple[bytes, bytes]:
    """Returns a photo of a page, and its true geometry as it is kept."""
    background = read_apart(page.background).pixels if page.background else None
    raster = page_raster(page.printed, printout, page.number, profile.printer_dpi)
    generator = generator_for(seed, "photograph", str(page.number))
    photo = simulate_photo(raster, printout.page_width_mm, printout.page_height_mm, profile, generator, background)
    jpeg = encode_jpeg(photo)
    homography, residual_px = photo.page_map.numbers
    truth = {
        "key": page.key,
        "page": page.number,
        "photo": page.photo.removeprefix(f"{SIMULATED_PHOTO_FILES.name}/"),
        "photo_sha256": hashlib.sha256(jpeg).hexdigest(),
        "photo_from_page": homography,
        "residual_px": residual_px,
    }
    return jpeg, json_bytes({**truth, "check": content_hash(truth)})


def _is_done(run: Run, page: _Page) -> bool:
    truth, photo = true_geometry(run, page.name), run.captures / page.photo
    return truth is not None and truth["key"] == page.key and photo.is_file() and truth["photo_sha256"] == file_hash(photo)


def _remove_others(run: Run, pages: list[_Page]) -> None:
    """Removes simulated photos of an earlier, longer printout; a person's own photos are never touched."""
    wanted = {name for page in pages for name in (page.photo, page.truth)}
    for path in chain(*(run.photos.glob(f"{start}*.jpg") for start in SIMULATED_PHOTOS)):
        if path.relative_to(run.captures).as_posix() not in wanted:
            path.unlink()
    TRUTH.keep_only(run, wanted)
