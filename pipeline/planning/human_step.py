"""What a person has to do between the printout and the photographs."""

from pipeline.settings import Experiment
from pipeline.store import Run
from pipeline.store.artefacts import PDF, SCREEN


def instructions(experiment: Experiment, run: Run) -> str:
    """Returns what a person has to do when a run waits for photographs."""
    show = f"Print {PDF.path(run)} at 100 % (not 'fit to page')"
    if experiment.layout.medium == "screen":
        show = f"Open {SCREEN.path(run) / 'index.html'} in a browser in full screen"
    return (
        f"{show} and photograph every page with its four codes in the frame.\n"
        f"With a phone, which is told at once what is good and what is missing: inkproof serve {experiment.words} --then-run\n"
        f"Or copy the photos, under any names, into {run.photos}/ and type: inkproof run {experiment.words}\n"
        f"No printer at hand? Let one be simulated: inkproof run {experiment.words} --set photograph.by=simulator"
    )
