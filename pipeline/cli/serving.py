"""The command `serve`: the phone page, until every page is in or the person ends it; then the run may go on."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from pipeline.cli.commands import opened, run, would_run
from pipeline.core.cores import n_cores
from pipeline.core.errors import Waiting, WrongUse

_MOST_READERS = 2
_BY_CAMERA = "photograph.by=camera"


def serve(options: argparse.Namespace) -> tuple[Any, int]:
    """Serves the phone page of an experiment whose pages are laid out; the photographs are a person's from then on."""
    from pipeline.companion.server import serve as serve_run
    from pipeline.stages.graph import check_done

    if options.port is not None and not 1 <= options.port <= 65535:
        raise WrongUse(f"--port {options.port}: expected 1 to 65535.")
    experiment, the_run, _ = opened(options)
    if experiment.photograph.by != "camera":
        options.set = [*options.set, _BY_CAMERA]
        experiment, the_run, _ = opened(options)
    check_done("layout", experiment, the_run)
    if options.dry_run:
        return would_run("serve", f"the photos of {the_run.name} would be taken in, in {the_run.photos}")
    options.display.waits("serving the phone page")
    n_readers = options.workers or min(n_cores(), _MOST_READERS)
    announce = _Announcement(options, the_run.name)
    told = serve_run(experiment, the_run, n_readers, options.then_run, options.host, options.port, options.display.say, announce)
    if told.goes_on:
        options.display.say(f"{told.board.told}. The run goes on.")
        return run(options)
    if not told.board.all_in:
        raise Waiting(f"{told.board.told}.", f"Go on at any time with: inkproof serve {experiment.words}")
    facts = {
        "n_pages": len(told.board.cells),
        "missing_pages": [],
        "better_again": [c.page for c in told.board.cells if c.advice],
    }
    return {"wrote": f"{told.board.told}, all in {the_run.photos}", **facts, "next": f"inkproof run {experiment.words}"}, 0


class _Announcement:
    """Says where the page is: on a terminal with the code to scan, elsewhere the addresses alone."""

    def __init__(self, options: argparse.Namespace, name: str) -> None:
        self._options, self._name = options, name

    def __call__(self, links: Sequence[str], code: str) -> None:
        say = self._options.display.say
        if self._options.quiet or self._options.json:
            print(links[0], file=sys.stderr, flush=True)
            return
        say(f"Photographs of {self._name}: scan this with the phone, which must be on the same network as this computer.")
        if sys.stderr.isatty():
            say(f"\n{code}\n")
        for link in links:
            say(f"  {link}")
        say("Whoever has this address can send photos. Ctrl+C ends it.")
