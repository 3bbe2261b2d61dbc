"""What a person has to do between the printout and the photographs, and which pages are still missing."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.document.formats import ranges
from pipeline.physical.photo_arrival import photo_by_a_person
from pipeline.settings import Experiment
from pipeline.store import Run, photo_files
from pipeline.store.artefacts import PDF, SCREEN
from pipeline.store.stage import DONE, StageStatus


@dataclass(frozen=True)
class PagesIn:
    """Which pages of a run a person has photographed: `missing` those without a usable photo, None where photos are unread."""

    n_pages: int
    n_photos: int
    missing: tuple[int, ...] | None

    @property
    def are_all_in(self) -> bool:
        return self.missing == ()

    @property
    def told(self) -> str:
        """One line: "10 of 18 pages; missing 5, 8, 11–16"."""
        if self.missing is None:
            return f"{self.n_photos} photo{'s' * (self.n_photos != 1)}, not all read yet"
        if not self.missing:
            return f"all {self.n_pages} pages" if self.n_pages > 1 else "the one page"
        return f"{self.n_pages - len(self.missing)} of {self.n_pages} pages; missing {ranges(self.missing)}"


def pages_in(experiment: Experiment, run: Run, states: Sequence[StageStatus]) -> PagesIn | None:
    """Returns which pages are photographed; None where no person photographs, or the pages are not laid out."""
    by_stage = {state.stage: state for state in states}
    layout, crop = by_stage.get("layout"), by_stage.get("crop")
    if experiment.photograph.by != "camera" or layout is None or crop is None or layout.state != DONE:
        return None
    n_pages, n_photos = int(layout.summary["n_pages"]), len(photo_files(run, by_camera=True))
    if not n_photos:
        return PagesIn(n_pages, 0, tuple(range(1, n_pages + 1)))
    return PagesIn(n_pages, n_photos, tuple(crop.summary["missing_pages"]) if crop.state == DONE else None)


def instructions(experiment: Experiment, run: Run, pages: PagesIn | None) -> str:
    """Returns what a person has to do, "" where nothing or where what is there has to be read first."""
    if pages is None or not pages.missing:
        return ""
    copy = f"copy the photos, under any names, into {run.photos}/"
    if pages.n_photos:
        page = "page" if len(pages.missing) == 1 else "pages"
        return f"Photograph {page} {ranges(pages.missing)} with all four codes in the frame, and {copy}"
    show = f"Print {PDF.path(run)} at 100 % (not 'fit to page')"
    if experiment.layout.medium == "screen":
        show = f"Open {SCREEN.path(run) / 'index.html'} in a browser in full screen"
    return (
        f"{show} and photograph every page with its four codes in the frame.\n"
        f"With a phone, which is told at once what is good and what is missing: inkproof serve {experiment.words} --then-run\n"
        f"Or {copy}\n"
        f"No printer at hand? Let one be simulated: inkproof run {experiment.words} --set photograph.by=simulator"
    )


def mixed_photos(experiment: Experiment, run: Run) -> tuple[str, str] | None:
    """Returns what is wrong and what to do where photographs are to be simulated beside those of a person; None where not."""
    name = "" if experiment.photograph.by == "camera" else photo_by_a_person(run)
    if not name:
        return None
    return (
        f'{run.photos} holds your photographs ({name}), and photograph.by is "simulator": it never puts any beside them.',
        'Set photograph.by = "camera" (and photograph.predict = true to have both, told apart), or give the run another name.',
    )
