"""The back end that works on a Ray cluster: workers hold what is shared, results come in any order, lost workers are replaced."""

import logging
import os
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pipeline.core.cores import n_cores
from pipeline.core.errors import InkproofError, Unavailable
from pipeline.core.version import VERSION
from pipeline.engine import Shared
from pipeline.engine.travelling import Parcel, packed, unpacked, worker_folder

# As many items wait at a worker as are under way, so that none waits for the next.
_ITEMS_A_WORKER = 2
# An item that was under way so often when its worker was lost is taken to be the cause.
_MOST_LOST = 3
_LOOK_EVERY_S = 1.0
# So long nothing may work or begin to, and so long the head may be silent, before the cluster counts as gone.
GONE_S, HEAD_SILENT_S = 120.0, 10.0
_GONE = "Type the same command again when it is back: what is done is kept. With --engine processes none is needed."


# A parcel that many items need, by its name, and what fetches it: a worker does so once.
Sent = tuple[str, list[Any]]


class Worker:
    """What runs on the cluster, one for each processor that the cluster has."""

    def __init__(self) -> None:
        import ray

        self._get: Callable[[Any], Any] = ray.get
        self._folder = worker_folder()
        self._held: dict[str, tuple[str, Any]] = {}

    def told(self) -> tuple[str, str]:
        """Returns which versions of Python and of this package it has."""
        return _versions()

    def work(self, function: Sent, item: Parcel, shared: Sent | None) -> tuple[bool, Any]:
        """Returns whether it worked, and the result or the error."""
        roots = [str(self._folder / name) for name, _ in filter(None, (function, shared))]
        with ExitStack() as stack:
            try:
                beside = () if shared is None else (self._kept("shared", shared, Shared.opened),)
                if item.files:
                    roots.append(stack.enter_context(tempfile.TemporaryDirectory(dir=self._folder)))
                return True, self._kept("function", function)(unpacked(item, Path(roots[-1]), self._get), *beside)
            except InkproofError as error:  # it names files as they are called where they come from
                texts = [_without(roots, text) for text in (error.message, error.hint)]
                return False, type(error)(*texts)
            except Exception as error:
                return False, error

    def _kept(self, kind: str, sent: Sent, opened: Callable[[Any], Any] = lambda thing: thing) -> Any:
        """Returns what was sent, unpacked and opened when it comes for the first time, in the place of what came before it."""
        name, where = sent
        if self._held.get(kind, ("",))[0] != name:
            if before := self._held.pop(kind, None):
                shutil.rmtree(self._folder / before[0], ignore_errors=True)
            parcel: Parcel = self._get(where[0])
            self._held[kind] = name, opened(unpacked(parcel, self._folder / name, self._get))
        return self._held[kind][1]


def _without(roots: Sequence[str], text: str) -> str:
    for root in roots:
        text = text.replace(root, "")
    return text


def _versions() -> tuple[str, str]:
    return f"{sys.version_info.major}.{sys.version_info.minor}", VERSION


class Cluster:
    """Works on the processors of a Ray cluster.

    Items, results and errors travel as bytes, and so do the files that items, functions and recipes name: see `packed`. A worker
    needs nothing of the disk that the parent sees.
    """

    def __init__(self, address: str = "", n: int = 0) -> None:
        """Joins a cluster.

        Args:
            address: "host:port" of its head, as `ray start` prints it; "" for that of RAY_ADDRESS, or else this machine alone.
            n: most workers; 0: as many as the cluster has processors.

        Raises:
            Unavailable: Ray is not installed, or no cluster answers there.
        """
        try:
            import ray
        except ImportError as error:
            raise Unavailable("Ray is not installed.", 'Type: pip install "inkproof[ray]"') from error
        self._ray, self._most = ray, n
        if not ray.is_initialized():
            address = address or os.environ.get("RAY_ADDRESS", "")
            own: dict[str, Any] = {} if address else {"num_cpus": n or n_cores(), "include_dashboard": False}
            try:
                ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **own)
            except (ConnectionError, RuntimeError, ValueError, OSError) as error:
                where = address or "this machine"
                raise Unavailable(f"No Ray cluster answers at {where}.", "Type: ray status --address HOST:PORT") from error
        host, port = ray.get_runtime_context().gcs_address.rsplit(":", 1)
        self._head = host, int(port)
        self._hired: Any = ray.remote(num_cpus=1)(Worker)
        self._beginning: dict[Any, Any] = {}  # what says that a worker is there, and the worker
        self._ready: list[Any] = []
        self._n_processors = self._counted()
        self._counts = threading.Thread()
        self._looks_s = 0.0

    def map(
        self, function: Callable[..., Any], items: Sequence[Any], shared: Shared[Any] | None = None
    ) -> Iterator[tuple[int, Any]]:
        """Yields (place, result): see `Backend`. Items whose worker or machine is lost are begun again elsewhere.

        Raises:
            Unavailable: the cluster is gone, its machines have another version, or an item loses its worker again and again.
        """
        rest, errors, n_lost = deque(range(len(items))), dict[int, BaseException](), Counter[int]()
        under_way: dict[Any, tuple[Any, int]] = {}
        load = Counter[Any]()
        self._moved_s = self._heard_s = time.monotonic()
        sent = self._sent(function, ())
        recipe = None if shared is None else self._sent(shared, shared.files)
        try:
            while (rest and not errors) or under_way:
                self._hire(len(rest) + len(under_way))
                for worker in self._ready if not errors else ():
                    while load[worker] < _ITEMS_A_WORKER and rest:
                        place = rest.popleft()
                        load[worker] += 1
                        under_way[worker.work.remote(sent, self._packed(items[place], ()), recipe)] = worker, place
                for ended in self._ended([*self._beginning, *under_way]):
                    worker, place = under_way.pop(ended, (None, -1))
                    load[worker] -= 1
                    try:
                        if worker is None:
                            self._begun(ended)
                            continue
                        is_done, found = self._ray.get(ended)
                    except self._ray.exceptions.RayTaskError as error:  # it could not be sent, or not be read there
                        errors[place] = error.cause or error
                        continue
                    except self._ray.exceptions.RayError:
                        self._dismiss(worker)
                        n_lost[place] += 1
                        if n_lost[place] < _MOST_LOST:
                            rest.appendleft(place)
                        else:
                            advice = "Give the cluster's workers more memory; what is done is kept."
                            errors[place] = Unavailable(f"An item ended its worker {_MOST_LOST} times.", advice)
                        continue
                    if is_done:
                        yield place, found
                    else:
                        errors[place] = found
        finally:
            for worker, _ in under_way.values():
                self._dismiss(worker)
        if errors:
            raise errors[min(errors)]

    def _sent(self, thing: object, files: Sequence[Path]) -> Sent:
        parcel = self._packed(thing, files)
        return parcel.name, [self._ray.put(parcel)]

    def _packed(self, thing: object, files: Sequence[Path]) -> Parcel:
        return packed(thing, files, self._ray.put, self._ray.cloudpickle.CloudPickler)

    def _hire(self, n_items: int) -> None:
        """Asks for workers until there are as many as the cluster has processors, or as there are items."""
        n = min(self._n_processors, n_items, self._most or self._n_processors)
        while len(self._ready) + len(self._beginning) < n:
            worker = self._hired.remote()
            self._beginning[worker.told.remote()] = worker

    def _counted(self) -> int:
        return int(self._ray.cluster_resources().get("CPU", 0))

    def _count(self) -> None:
        self._n_processors = self._counted()

    def _begun(self, ended: Any) -> None:
        """Takes a worker that is there; one that was lost on the way is forgotten.

        Raises:
            Unavailable: it has another version of Python or of this package.
        """
        worker = self._beginning.pop(ended)
        try:
            found = self._ray.get(ended)
        except self._ray.exceptions.RayError:
            return
        if found != _versions():
            names = [f"Python {python} and inkproof {package}" for python, package in (found, _versions())]
            raise Unavailable(
                f"A machine of the cluster has {names[0]}, this one {names[1]}.", "Install the same on all of them."
            )
        self._ready.append(worker)

    def _dismiss(self, worker: Any) -> None:
        if worker in self._ready:
            self._ready.remove(worker)
            if _answers(self._head):
                self._ray.kill(worker)

    def _ended(self, waited: list[Any]) -> list[Any]:
        """Returns what has ended within a moment.

        Raises:
            Unavailable: the head of the cluster does not answer any more, or it has no processor left.
        """
        ended: list[Any] = []
        if waited:
            ended, _ = self._ray.wait(waited, timeout=_LOOK_EVERY_S)
        else:
            time.sleep(_LOOK_EVERY_S)
        now_s = time.monotonic()
        if ended or self._ready:
            self._moved_s = now_s
        if now_s >= self._looks_s:
            self._looks_s = now_s + _LOOK_EVERY_S
            if _answers(self._head):
                self._heard_s = now_s
                if not self._counts.is_alive():  # a head that is lost just now would be waited for
                    self._counts = threading.Thread(target=self._count, daemon=True)
                    self._counts.start()
        if now_s - self._heard_s > HEAD_SILENT_S:
            raise Unavailable("The head of the Ray cluster does not answer any more.", _GONE)
        if now_s - self._moved_s > GONE_S:
            raise Unavailable(f"The Ray cluster has had no free processor for {GONE_S:.0f} s.", _GONE)
        return ended


def _answers(head: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(head, timeout=2):
            return True
    except OSError:
        return False
