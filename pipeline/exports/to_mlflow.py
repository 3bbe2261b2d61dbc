"""Exports a run to MLflow: into a database or a folder of this machine, or to a tracking server."""

import os
import time
from pathlib import Path

from pipeline.core.errors import Unavailable, in_a_line
from pipeline.exports.tables import Exported
from pipeline.exports.trackers import PROJECT, files_of, metrics, parameters

# Nothing is sent to MLflow's makers, a folder is used where a person names one, and a server that is not there is given up.
_ASKED = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
}
# MLflow takes no longer values, and no more metrics at once.
_MOST_LETTERS, _MOST_AT_ONCE = 6000, 1000


def to_mlflow(found: Exported, output: str) -> tuple[list[Path | str], str]:
    """Makes a run of the experiment "inkproof": settings as parameters, rates as metrics, report and tables as artefacts.

    Args:
        output: a database file (.db), a folder, or a server's address; "" for MLflow's own choice (MLFLOW_TRACKING_URI).

    Raises:
        Unavailable: MLflow is not installed, or its store does not answer.
    """
    for name, value in _ASKED.items():
        os.environ.setdefault(name, value)
    try:
        import mlflow
    except ImportError as error:
        raise Unavailable("MLflow is not installed.", "Install it: pip install 'inkproof[mlflow]'") from error
    uri = _uri(output) if output else mlflow.get_tracking_uri()
    try:
        return [_logged(found, uri, _store_of(output))], f"mlflow ui --backend-store-uri {uri}"
    except Exception as error:  # each kind of store has errors of its own
        hint = "Name another store with --output, such as mlflow.db."
        raise Unavailable(f"MLflow at {uri}: {in_a_line(error)}.", hint) from error


def _uri(output: str) -> str:
    if "://" in output:
        return output
    path = Path(output).resolve()
    return f"sqlite:///{path}" if path.suffix in (".db", ".sqlite") else path.as_uri()


def _store_of(output: str) -> str | None:
    """Returns where artefacts lie of a database that is a file: beside it, not in the folder where one happens to be."""
    path = Path(output).resolve()
    return (path.parent / "mlartifacts").as_uri() if "://" not in output and path.suffix in (".db", ".sqlite") else None


def _logged(found: Exported, uri: str, artefacts: str | None) -> str:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    client = MlflowClient(tracking_uri=uri)
    known = client.get_experiment_by_name(PROJECT)
    experiment = known.experiment_id if known else client.create_experiment(PROJECT, artifact_location=artefacts)
    tags = {f"inkproof.{name}": value for name, value in found.facts.items()}
    run = client.create_run(experiment, run_name=found.run.name, tags=tags).info.run_id
    now = int(1000 * time.time())
    client.log_batch(run, params=[Param(name, value[:_MOST_LETTERS]) for name, value in parameters(found).items()])
    rows = [Metric(name, value, now, 0) for name, value in metrics(found).items()]
    for start in range(0, len(rows), _MOST_AT_ONCE):
        client.log_batch(run, metrics=rows[start : start + _MOST_AT_ONCE])
    with files_of(found) as files:
        for file in files:
            client.log_artifact(run, str(file))
    client.set_terminated(run)
    return f"run {run} of {uri}"
