"""The pictures of a run: a file each, or, where they are many, a thousand in one ZIP file, found by the same path."""

import zipfile
from bisect import bisect_right
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path

from pipeline.core.errors import BadInput
from pipeline.store.artefacts import Folder
from pipeline.store.run import Run

# A folder of more pictures than this is packed, so many into a file.
PACKED_ABOVE, IN_A_SHARD = 2000, 1000
_NEVER = (1980, 1, 1, 0, 0, 0)
_AGAIN = "Make it again: run the stage that made it with --force"
_Shard = tuple[Path, int, int]


def save_images(run: Run, folder: Folder, stems: Iterable[str], png_of: Callable[[str], bytes]) -> list[str]:
    """Writes a folder of PNG files anew; returns the names of the files that were written, as outputs name them.

    More than `PACKED_ABOVE` lie as `<folder>-000.zip` and so on, each with a thousand of them under their names in the folder.

    Args:
        stems: as `Folder.write` takes them. png_of: the bytes of one, asked for when its turn comes.
    """
    ordered, inner = sorted(stems, key=folder.file), len(folder.name) + 1
    shards = [ordered[start : start + IN_A_SHARD] for start in range(0, len(ordered), IN_A_SHARD)]
    is_packed = len(ordered) > PACKED_ABOVE
    written = [] if is_packed else [folder.write(run, stem, png_of(stem)) for stem in ordered]
    for number, shard in enumerate(shards if is_packed else ()):
        written.append(f"{folder.name}-{number:03d}.zip")
        with run.files.writing(run.folder(folder.folder) / written[-1]) as file, zipfile.ZipFile(file, "w") as packed:
            for stem in shard:
                packed.writestr(zipfile.ZipInfo(folder.file(stem)[inner:], _NEVER), png_of(stem))
    folder.keep_only(run, written)
    for name in set(packed_files(run, folder)) - set(written):
        run.files.remove(run.folder(folder.folder) / name)
    return written


def packed_files(run: Run, folder: Folder) -> list[str]:
    """Returns the names of the files that hold a folder's pictures where they are packed, [] where they are not."""
    return [path.relative_to(run.folder(folder.folder)).as_posix() for path, _, _ in _shards(folder.path(run))]


def saved_image(folder: Path, path: str) -> bytes:
    """Returns the bytes of a picture, whose path is relative to one of a run's folders, wherever it lies.

    Raises:
        BadInput: it is missing, or cannot be read.
    """
    try:
        if (folder / path).is_file():
            return (folder / path).read_bytes()
        for above in Path(path).parents:
            if shards := _shards(folder / above):
                name = Path(path).relative_to(above).as_posix()
                return _opened(*shards[max(0, bisect_right([_first(*shard) for shard in shards], name) - 1)]).read(name)
    except KeyError:
        pass
    except (OSError, zipfile.BadZipFile) as error:
        raise BadInput(f"{folder / path}: cannot be read ({error}).", _AGAIN) from None
    raise BadInput(f"{folder / path}: is missing.", _AGAIN)


def holding(folder: Path, paths: Iterable[str]) -> list[Path]:
    """Returns the files in which pictures lie, whose paths are relative to one of a run's folders."""
    alone = {folder / path for path in paths}
    found = {path for path in alone if path.is_file()}
    above = {parent for path in alone - found for parent in path.parents if parent.is_relative_to(folder)}
    return sorted(found.union(*([path for path, _, _ in _shards(parent)] for parent in above - {folder})))


def _shards(folder: Path) -> list[_Shard]:
    """Returns the packed files of a folder, with what tells one from another that had its name."""
    found = []
    for path in folder.parent.iterdir() if folder.name and folder.parent.is_dir() else ():
        number = path.name.removeprefix(f"{folder.name}-").removesuffix(".zip")
        if path.name == f"{folder.name}-{number}.zip" and number.isdigit():
            state = path.stat()
            found.append((path, state.st_mtime_ns, state.st_size))
    return sorted(found, key=lambda shard: (len(shard[0].name), shard[0].name))


@lru_cache(maxsize=4)
def _opened(path: Path, mtime_ns: int, size: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


@lru_cache(maxsize=10_000)
def _first(path: Path, mtime_ns: int, size: int) -> str:
    with zipfile.ZipFile(path) as packed:
        return packed.namelist()[0]
