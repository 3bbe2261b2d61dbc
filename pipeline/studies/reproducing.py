"""What a reproduction of a study is made of: its experiment, with stand-ins for missing data, and the files beside a report."""

import re
import tomllib

from pipeline.report.content import ReportContent
from pipeline.store import Run, csv_bytes
from pipeline.store.artefacts import REPRODUCTION, REPRODUCTION_CSV, REPRODUCTION_TEXT
from pipeline.studies import study_named

DATA = "INKPROOF_DATA"
_FILES = (REPRODUCTION_TEXT, REPRODUCTION_CSV, REPRODUCTION)
_BUILT_IN = """[dataset]
name = "builtin:signs"

[model]
name = "builtin:signs"

"""


def with_stand_ins(text: str) -> tuple[str, str]:
    """Returns the name and the text of a study's experiment with the built-in images and network in place of its own."""
    name = tomllib.loads(text)["name"]
    before, _, rest = text.partition("[dataset]")
    _, after = re.split(r"^(?=(?:#[^\n]*\n)*\[selection\])", rest, maxsplit=1, flags=re.MULTILINE)
    head = (
        f"# The experiment {name} with the built-in images and network in place of its own: orderings can be compared with the\n"
        f"# paper, numbers cannot. With {DATA} set, inkproof reproduce takes what that folder holds.\n"
    )
    settings = re.sub(r"\A(#[^\n]*\n)*", head, before).replace(f'name = "{name}"', f'name = "{name}-signs"', 1)
    return f"{name}-signs", settings + _BUILT_IN + after


def write_reproduction(content: ReportContent, run: Run) -> list[str]:
    """Writes the paper's numbers beside the run's, and returns the names of the files; none of a run that reproduces nothing."""
    made = study_named(content.reproduces).reproduction(content) if content.reproduces else None
    if made is None:
        for file in _FILES:
            file.remove(run)
        return []
    REPRODUCTION_TEXT.write(run, made.text.encode())
    REPRODUCTION_CSV.write(run, csv_bytes(made.row_type, made.rows))
    REPRODUCTION.write(run, made.told)
    return [file.name for file in _FILES]
