"""The photos folder, where a person may put anything: what lies there, what of it may be opened, and what it is called."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pipeline.store.hashes import Hashes, content_hash, file_hash
from pipeline.store.run import Run

SIMULATED_PHOTOS = ("simulated-page-", "simulated-calibration")


def photo_files(run: Run, by_camera: bool = False) -> list[Path]:
    """Returns every entry below the photos folder, whatever its kind, in a fixed order; hidden ones are left out.

    Links are listed, never walked: a folder that is linked from elsewhere, or cannot be opened, is one entry; a link to a folder
    inside is none, for its files are listed where they lie. With `by_camera` the simulator's own files are left out too: they
    never stand in for photographs that are still to be taken.
    """
    if not run.photos.is_dir():
        return []
    paths = _entries(run.photos, os.path.realpath(run.photos))
    return sorted(path for path in paths if not (by_camera and path.name.startswith(SIMULATED_PHOTOS)))


def photo_trouble(run: Run, path: Path) -> tuple[str, str] | None:
    """Returns why an entry of the photos folder must not be opened, as (reason, detail) of a discard; None where it may."""
    try:
        if path.is_symlink() and not _is_below(path, os.path.realpath(run.photos)):
            return "linked", f"it leads to {_one_line(os.readlink(path))}"
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind):
            names = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFDIR: "a folder that cannot be opened"}
            return "unreadable", f"it is {names.get(stat.S_IFMT(kind), 'a device')}, not a picture"
        path.open("rb").close()
    except OSError as error:
        return "unreadable", f"it cannot be opened: {(error.strerror or type(error).__name__).lower()}"
    return None


def photo_digest(run: Run, path: Path, hashes: Hashes | None = None) -> str:
    """Returns the SHA-256, in hex, of a photo's bytes; of a few words about an entry that must not be opened."""
    trouble = photo_trouble(run, path)
    if trouble is None:
        try:
            return hashes.of(path) if hashes else file_hash(path)
        except OSError as error:
            trouble = "unreadable", str(error.strerror)
    return content_hash([photo_name(run, path), *trouble])


def photo_name(run: Run, path: Path) -> str:
    """Returns a photo's path below the photos folder as one line; line breaks and bytes that are no text become escapes."""
    return _one_line(path.relative_to(run.photos).as_posix())


def _entries(folder: Path, root: str) -> Iterator[Path]:
    folders = [folder]
    while folders:
        for path in folders.pop().iterdir():
            if path.name.startswith("."):
                continue
            if path.is_symlink():
                if not _is_below(path, root) or not path.is_dir():
                    yield path
            elif path.is_dir() and os.access(path, os.R_OK | os.X_OK):
                folders.append(path)
            else:
                yield path


def _is_below(path: Path, root: str) -> bool:
    real = os.path.realpath(path)
    return real == root or real.startswith(root.rstrip(os.sep) + os.sep)


def _one_line(text: str) -> str:
    plain = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in plain)
