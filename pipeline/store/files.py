"""Files that are complete or absent, behind one small interface: an object store is one more class like `Disk`."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from filelock import FileLock, Timeout

PARTIAL = ".partial"
# What tells a folder of a run from any other: the records of its stages lie there.
RECORDS = ".stages"


class Files(Protocol):
    """What a run asks of the place where it lies.

    `read` and `open` raise OSError where they cannot. `write`, and `writing` at its end, leave a file complete or absent, and
    durable before its name appears. `list` gives every file below a folder in the order of their paths, none where there is no
    folder. `remove` does nothing where there is no file. `lock` keeps other processes out while it is held, and gives False
    where another has it already.
    """

    def read(self, path: Path) -> bytes: ...
    def open(self, path: Path) -> BinaryIO: ...
    def writing(self, path: Path) -> AbstractContextManager[BinaryIO]: ...
    def write(self, path: Path, content: bytes) -> None: ...
    def exists(self, path: Path) -> bool: ...
    def list(self, folder: Path) -> list[Path]: ...
    def remove(self, path: Path) -> None: ...
    def lock(self, path: Path) -> AbstractContextManager[bool]: ...


class Disk:
    """Files on this machine's disk."""

    def read(self, path: Path) -> bytes:
        return path.read_bytes()

    def open(self, path: Path) -> BinaryIO:
        return path.open("rb")

    def write(self, path: Path, content: bytes) -> None:
        with self.writing(path) as file:
            file.write(content)

    @contextmanager
    def writing(self, path: Path) -> Iterator[BinaryIO]:
        partial = ""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".inkproof-", suffix=PARTIAL)
            with os.fdopen(handle, "w+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.chmod(partial, 0o644)
            os.replace(partial, path)
        except BaseException as error:
            if partial:
                Path(partial).unlink(missing_ok=True)
            if isinstance(error, OSError):  # a full disk does not say which file it was, and nobody knows the partial one
                error.filename = str(path)
            raise

    def exists(self, path: Path) -> bool:
        return path.is_file()

    def list(self, folder: Path) -> list[Path]:
        return sorted(path for path in folder.rglob("*") if path.is_file())

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    @contextmanager
    def lock(self, path: Path) -> Iterator[bool]:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = FileLock(path)
        try:
            held.acquire(blocking=False)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            held.release()


DISK = Disk()


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file on the disk so that it is either complete or absent, and durable before its name appears."""
    DISK.write(path, content)


def remove_partial(folder: Path) -> None:
    """Removes what an interrupted write left behind."""
    for path in folder.rglob(f".inkproof-*{PARTIAL}"):
        path.unlink(missing_ok=True)


def replace_folder(folder: Path, wanted: Iterable[str]) -> None:
    """Removes every file below a folder whose relative path is not wanted, and folders left empty."""
    keep = set(wanted)
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
        elif path.is_file() and path.relative_to(folder).as_posix() not in keep:
            path.unlink()


def is_made_by_a_run(folder: Path) -> bool:
    """Returns whether a folder is one of a run's: what lies in it is no part of a data set around it."""
    return (folder / RECORDS).is_dir()


def free_space_mb(folder: Path) -> int:
    """Returns the free space of the disk that a folder is, or will be, on."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free // 2**20
