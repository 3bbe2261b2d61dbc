"""A phone page to test: the application without a network, and the command in a process of its own."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from starlette.testclient import TestClient

from pipeline.companion.app import phone_page
from pipeline.companion.desk import Desk
from pipeline.companion.gate import Keys
from pipeline.physical.registration.photo_reading import read_file
from pipeline.settings.reading import load_experiment
from pipeline.store import Run

ROOT = Path(__file__).parents[1]
HOST = "phone.test:8017"
ORIGIN = {"origin": f"http://{HOST}"}


def pages_to_photograph(tiny: Path, workspace: Path) -> list[Path]:
    """Makes a workspace with the tiny run's printout alone; returns a photo of each of its two pages, taken elsewhere."""
    workspace.mkdir(parents=True, exist_ok=True)
    shutil.copytree(tiny / "printouts", workspace / "printouts")
    shutil.copy(tiny / "small.toml", workspace)
    taken = []
    for number in (1, 2):
        photo = workspace / "taken" / f"IMG_{number}.jpg"
        photo.parent.mkdir(exist_ok=True)
        taken.append(Path(shutil.copy(tiny / "captures/small/photos" / f"simulated-page-{number:03d}.jpg", photo)))
    return taken


class ReadersHere:
    """Reads in this process: the tests of what is said need no other."""

    def __init__(self, n: int, reading, warm_up: Path | None = None) -> None:
        self._reading = reading

    async def start(self) -> None: ...

    def end(self) -> None: ...

    async def read(self, photo):
        return read_file(photo, self._reading)


def a_desk(workspace: Path, monkeypatch, then_run: bool = False, tell=lambda _: None) -> Desk:
    monkeypatch.setattr("pipeline.companion.desk.Readers", ReadersHere)
    experiment = load_experiment(workspace / "small.toml", ("photograph.by=camera",))
    return Desk(experiment, Run(workspace, "small"), 1, then_run, tell)


def a_client(desk: Desk, keys: Keys, enters: bool = True, tell=lambda _: None) -> TestClient:
    """Returns a browser without a network; to be used in a `with`, for as long as the server runs."""
    app = phone_page(desk, keys, ["phone.test"], 8017, f"http://{HOST}", tell)
    client = TestClient(app, base_url=f"http://{HOST}", headers=ORIGIN)
    if enters:
        client.cookies.set("inkproof-8017", keys.cookie, domain="phone.test")
    return client


class Served:
    """`inkproof serve` in a process of its own, at one address of this machine; `first` is run there before it."""

    def __init__(self, workspace: Path, *options: str, first: str = "", name: str = "small") -> None:
        self._log = (workspace / "serve.log").open("w+", encoding="utf-8")
        arguments = ["serve", f"{name}.toml", "--host", "127.0.0.1", *options]
        code = f"{first}\nif __name__ == '__main__':\n import sys; from pipeline.cli import main; sys.exit(main({arguments!r}))"
        command = [sys.executable, "-c", code]
        paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        self.process = subprocess.Popen(
            command,
            cwd=workspace,
            env=os.environ | {"PYTHONPATH": paths},
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        self.link = self._wait_for(r"http://\S+/enter/\S+")
        self.port = int(self.link.split(":")[2].split("/")[0])
        self.origin = f"http://127.0.0.1:{self.port}"

    @property
    def said(self) -> str:
        """What it has written so far."""
        return Path(self._log.name).read_text(encoding="utf-8")

    def _wait_for(self, pattern: str, most_s: float = 60) -> str:
        began_s = time.monotonic()
        while time.monotonic() - began_s < most_s and self.process.poll() is None:
            if found := re.search(pattern, self.said):
                return found[0]
            time.sleep(0.05)
        raise AssertionError(self.said)

    def end(self, how: int = signal.SIGINT) -> int:
        """Ends it, as Ctrl+C does with all that it started, or otherwise alone; returns its exit code."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, how) if how == signal.SIGINT else self.process.send_signal(how)
        code = self.process.wait(30)
        self._log.close()
        return code

    def __enter__(self) -> "Served":
        return self

    def __exit__(self, *_: object) -> None:
        self.end(signal.SIGKILL)
