"""Files that travel: what is sent to another machine goes with the bytes of every file that it names, and finds a copy there."""

import hashlib
import io
import os
import pickle
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PREFIX = "inkproof-worker-"
# What a worker that is gone left behind so long ago is removed by the next one.
_LEFT_S = 3600.0


@dataclass(frozen=True)
class Parcel:
    """Something pickled, and the files that it names.

    `places` are the paths and texts in it that change where it is unpacked: of texts the parts, each with whether it is a place.
    `files` has what gives the bytes of each file, by its absolute path; `name` is the hash of it all.
    """

    content: bytes
    places: list[Path | list[tuple[bool, str]]]
    files: dict[str, Any]
    name: str


def packed(thing: object, files: Iterable[Path], put: Callable[[bytes], Any], pickler: type[pickle.Pickler]) -> Parcel:
    """Returns a parcel of anything that can be pickled.

    Every `Path` in it that is a file travels, and so do `files`: a text that names one of these, or a folder above one, alone or
    between colons as in "onnx:FILE", names the copy when it is unpacked.

    Args:
        put: takes a file's bytes, and returns what stands for them in the parcel.
    """
    named = {str(file): os.path.abspath(file) for file in files if file.is_file()}
    travelling = set(named.values())
    places = {str(place): str(place) for file in travelling for place in (Path(file), *Path(file).parents[:-1])} | named

    changing: list[Path | list[tuple[bool, str]]] = []

    class Packer(pickler):  # type: ignore[misc, valid-type]
        def persistent_id(self, found: object) -> int | None:
            if isinstance(found, Path) and found.is_file():
                changing.append(found.absolute())
                travelling.add(str(changing[-1]))
            elif type(found) is str and places and not places.keys().isdisjoint(parts := found.split(":")):
                changing.append([(part in places, places.get(part, part)) for part in parts])
            else:
                return None
            return len(changing) - 1

    buffer = io.BytesIO()
    Packer(buffer, pickle.HIGHEST_PROTOCOL).dump(thing)
    digest, found = hashlib.sha256(buffer.getvalue() + repr(changing).encode()), {}
    for path in sorted(travelling):
        content = Path(path).read_bytes()
        digest.update(path.encode() + hashlib.sha256(content).digest())
        found[path] = put(content)
    return Parcel(buffer.getvalue(), changing, found, digest.hexdigest()[:32])


def unpacked(parcel: Parcel, root: Path, get: Callable[[Any], bytes]) -> Any:
    """Returns what a parcel holds, after its files were laid down: each below `root` as it lay below the root of its disk."""
    for path, content in parcel.files.items():
        place = _below(root, path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(get(content))

    class Unpacker(pickle.Unpickler):
        def persistent_load(self, pid: Any) -> Any:
            found = parcel.places[pid]
            if isinstance(found, Path):
                return _below(root, str(found))
            return ":".join(str(_below(root, part)) if is_place else part for is_place, part in found)

    return Unpacker(io.BytesIO(parcel.content)).load()


def worker_folder() -> Path:
    """Makes a folder of this process's own for what is unpacked; those of processes that are gone are removed."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            if time.time() - path.stat().st_mtime > _LEFT_S and not _is_alive(int(path.name.split("-")[2])):
                shutil.rmtree(path, ignore_errors=True)
        except (OSError, ValueError):
            continue
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))


def _below(root: Path, path: str) -> Path:
    return root / Path(path).relative_to(Path(path).anchor)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
