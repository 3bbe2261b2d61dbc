"""The command that certifies images behind randomised smoothing, and writes the certified accuracy."""

import argparse
from typing import Any

from pipeline.cli.commands import opened, would_run


def certify(options: argparse.Namespace) -> tuple[Any, int]:
    from pipeline.document.tables import as_text
    from pipeline.report.certified import certified_rates, certified_table
    from pipeline.store.artefacts import CERTIFIED_CSV
    from pipeline.studies.cohen2019.certifying import CertifyRequest, certify, smoothed_models

    experiment, run, context = opened(options)
    request = CertifyRequest(options.n_images, options.n_samples, options.n0, options.alpha)
    smoothed = smoothed_models(experiment)
    if options.dry_run:
        n_images = request.n_images or experiment.selection.n_images
        copies = f"{request.n_choosing + request.n_samples} noisy copies"
        return would_run("certify", f"{copies} of each of {n_images} images behind {', '.join(smoothed)} would be looked at")
    options.display.begins("certify")
    found = certify(experiment, run, context, request, options.force)
    path = CERTIFIED_CSV.path(run)
    told = (
        {"rates": certified_rates(found), "certificates": found} if options.json else {"table": as_text(certified_table(found))}
    )
    files = f"{path}, {path.stem}.json, {path.stem}.png and {path.stem}.svg"
    return {**told, "wrote": str(path) if options.json else files, "next": f"inkproof run {experiment.words}"}, 0
