"""What trackers of experiments get of a run: parameters, metrics by name, and files."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.exports.files import predictions_csv
from pipeline.exports.tables import Exported, RateRow
from pipeline.records import PHOTO, SOURCE
from pipeline.store import cell_folder, write_bytes

# The project, or experiment, that runs stand in beside each other.
PROJECT = "inkproof"
_ODD = re.compile(r"[^\w./ -]", re.ASCII)


def parameters(found: Exported) -> dict[str, str]:
    """Returns every setting by its dotted name; what no tracker allows in a name is a dash."""
    return {_ODD.sub("-", row.key): row.value for row in found.settings}


def metrics(found: Exported) -> dict[str, float]:
    """Returns the top-1 rates: four numbers each, `.../rate`, `/low` and `/high` (95 %) and `/n`; without n only that.

    Of digital transforms there are those over all cells; every rate stands in the tables.
    """
    told: dict[str, float] = {}
    for row in found.rates:
        if row.top_k == 1 and (not row.attack or row.transform in (SOURCE, PHOTO)):
            name = metric_name(row)
            told[f"{name}/n"] = float(row.n_eligible)
            told |= {f"{name}/{end}": value for end in ("rate", "low", "high") if (value := getattr(row, end)) is not None}
    return told


def metric_name(row: RateRow) -> str:
    """Returns such as "destruction_rate/photo-simulated/average/fgsm-eps16"."""
    where = "file" if row.transform == SOURCE else f"photo-{row.origin}" if row.transform == PHOTO else row.transform
    value = "" if row.parameter is None else f"-{row.parameter:g}"
    cell = cell_folder(row.attack, row.epsilon_8bit) if row.attack else "all-cells"
    return _ODD.sub("-", f"{row.quantity}/{where}{value}/{row.case}/{cell}")


@contextmanager
def files_of(found: Exported) -> Iterator[list[Path]]:
    """Gives the report and its tables, and the predictions as predictions.csv, which is made for this alone."""
    with tempfile.TemporaryDirectory(prefix="inkproof-") as folder:
        predictions = Path(folder) / "predictions.csv"
        write_bytes(predictions, predictions_csv(found))
        yield [*found.files, predictions]
