"""What `inkproof calibrate` does with files: photos in, a profile and its report out; or the page to print."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.core.errors import BadInput, InkproofError
from pipeline.images.formats import fault
from pipeline.physical.calibration.fit import Calibration, Parameter, fit_profile
from pipeline.physical.calibration.measuring import ChartPhoto, read_chart_photo
from pipeline.physical.calibration.report import build_calibration_report, rounded, shown
from pipeline.physical.printing.chart import calibration_chart
from pipeline.physical.printing.document import build_chart_pdf
from pipeline.physical.simulator import load_profile
from pipeline.physical.simulator.profile_file import profile_text
from pipeline.store import write_bytes


def calibrate_files(
    photos: Sequence[Path], base: str, output: Path, force: bool = False, progress: Callable[[str], None] = lambda what: None
) -> Calibration:
    """Fits a profile to photos of the calibration page and writes it, and beside it a report as PDF.

    A photo that cannot be used is left out with a note where another can be.

    Raises:
        BadInput: no photo shows a calibration page, one is overexposed, a file is not there, or the output is there already.
        WrongUse: there is no such base.
    """
    check_free(output, force)
    check_free(output.with_suffix(".pdf"), force)
    profile = load_profile(base)
    read, refused = _read(photos, progress)
    fitted = fit_profile(read, profile, progress)
    left_out = (f"{path.name} was left out: {error.message.removeprefix(f'{path}').lstrip(': ')}" for path, error in refused)
    fitted = replace(fitted, notes=(*fitted.notes, *left_out))
    progress("writing the report")
    base_from = Path(os.path.relpath(base, output.parent)).as_posix() if base.endswith(".toml") else base
    write_bytes(output, _text(fitted, base_from).encode())
    # what is used later is what the file says
    load_profile(output)
    write_bytes(output.with_suffix(".pdf"), build_calibration_report(fitted, output.name))
    return fitted


def _read(photos: Sequence[Path], progress: Callable[[str], None]) -> tuple[list[ChartPhoto], list[tuple[Path, InkproofError]]]:
    """Returns the photos that can be used, and why the others can't."""
    read: list[ChartPhoto] = []
    refused: list[tuple[Path, InkproofError]] = []
    for path in photos:
        progress(f"reading {path.name}")
        if not path.exists():
            raise BadInput(f"{path}: there is no such photo.")
        try:
            read.append(read_chart_photo(path))
        except BadInput as error:
            refused.append((path, error))
        except Exception as error:  # whatever a library does not expect in one photo must not cost the others
            refused.append((path, BadInput(f"{path}: reading it failed: {fault(error)}.", "Please report it.")))
    if not read:
        first, all_of_them = refused[0][1], f"None of {len(photos)} photos can be used. " * (len(photos) > 1)
        raise type(first)(all_of_them + first.message, first.hint)
    return read, refused


def write_page(output: Path, paper: str, orientation: str, force: bool = False) -> None:
    """Writes the calibration page alone as a PDF to print.

    Raises: BadInput: the file is there already; WrongUse: no such paper.
    """
    check_free(output, force)
    write_bytes(output, build_chart_pdf(calibration_chart(paper, orientation)))


def parameters_text(fitted: Calibration) -> str:
    """Returns the fitted parameters as lines for a person, and what the photos could not tell."""
    width = max(len(parameter.key) for parameter in fitted.parameters)
    lines = []
    for parameter in fitted.parameters:
        error = f" ± {rounded(parameter.sd)}" if parameter.sd is not None else ""
        source = f"from {parameter.source}" if error else parameter.source
        lines.append(f"{parameter.key:<{width}}  {shown(parameter.value)}{error} {parameter.unit}".rstrip() + f"  ({source})")
    return "\n".join([*lines, *(f"note: {note}" for note in fitted.notes)])


def check_free(path: Path, force: bool) -> None:
    """Raises: BadInput where a file is there that was not to be written over."""
    if path.exists() and not force:
        raise BadInput(f"{path} is there already.", "Choose another name, or write over it with --force.")


def told(parameter: Parameter, n_photos: int) -> str:
    """Returns a parameter's remark in the file: how sure, in what unit, from what."""
    if parameter.sd is None:
        return parameter.source
    source = f"from {parameter.source} in {n_photos} photo{'s' * (n_photos != 1)}"
    return " ".join(filter(None, ["fitted, +-", rounded(parameter.sd, 2), parameter.unit, source]))


def _text(fitted: Calibration, base: str) -> str:
    names = ", ".join(photo.name for photo in fitted.photos)
    what = "photos, some of them SIMULATED," if fitted.n_simulated else "photos"
    opening = (
        f"A printer and a phone fitted by inkproof calibrate. From {what} of the calibration page: {names}. Every value is "
        "followed by its standard error and by what it was fitted to; all that is not here is the base's."
    )
    values = {p.key: p.value for p in fitted.parameters}
    return profile_text(opening, base, values, {p.key: told(p, len(fitted.photos)) for p in fitted.parameters})
