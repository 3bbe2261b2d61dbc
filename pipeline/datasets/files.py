"""Images with labels from the user's disk: a folder with one sub-folder per class, or a CSV of paths and labels."""

import csv
import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PureWindowsPath

from pipeline.core.errors import BadInput, InkproofError, WrongUse
from pipeline.datasets.dataset import Listed, Rejected, drawn, item_ids
from pipeline.datasets.labels import Labels
from pipeline.images import LoadedImage, image_format, read_apart, shown
from pipeline.images.formats import reason
from pipeline.settings import DatasetSettings
from pipeline.store import is_made_by_a_run
from pipeline.store.hashes import leads_back

_PATH_COLUMNS = ("path", "file", "filename", "file_name", "image", "image_path")
_LABEL_COLUMNS = ("label", "class_index", "label_index", "wnid", "wordnet_id", "class_name", "class", "name", "category")
_DELIMITERS = (",", ";", "\t")


class FileDataset(Listed):
    """Image files in the order of their paths; see `Dataset`."""

    def __init__(
        self, name: str, root: Path, entries: Sequence[tuple[str, int]], class_names: tuple[str, ...], rejected: list[Rejected],
        n_images: int, seed: int,
    ) -> None:  # fmt: skip
        """`entries` are (path below `root`, class); names are given before the draw, so an item keeps its id in every draw."""
        self.name = name
        self.class_names = class_names
        self.rejected = rejected
        self._root = root
        ordered = sorted(entries)
        ids = item_ids([path for path, _ in ordered])
        self._items = [(*ordered[i], ids[i]) for i in drawn(len(ordered), n_images, seed)]

    def image(self, i: int) -> LoadedImage:
        path = self._items[i][0]
        try:
            return read_apart(self._root / path)
        except InkproofError as error:  # people know it by its place in the data set
            message = error.message.replace(shown(self._root / path), shown(path))
            raise type(error)(message, error.hint) from error


def open_folder(folder: str, settings: DatasetSettings, labels: Labels, seed: int) -> FileDataset:
    """Returns the images below a folder; each of its sub-folders is named after a class (name, WordNet id or index).

    Sub-folders of a class folder are searched too. Links that lead out of the folder (but for `settings.follow_links`), files
    that are no images by their first bytes, images outside a class folder and folders of unknown classes are listed in
    `rejected`.
    """
    root = _root(Path(folder), "dataset.name")
    paths, rejected = _files_below(root, settings.follow_links)
    by_class: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        class_folder, slash, _ = path.partition("/")
        if slash:
            by_class[class_folder].append(path)
        else:
            rejected.append(Rejected(shown(path), "lies outside a class folder"))
    labels = labels.with_ranked_wordnet_ids(list(by_class))
    entries: list[tuple[str, int]] = []
    for class_folder, members in sorted(by_class.items()):
        index = labels.index_of(class_folder)
        if index is None:
            why_not = f"{labels.why_not(class_folder)} ({_counted(len(members), 'file')})"
            rejected.append(Rejected(f"{shown(class_folder)}/", why_not))
            continue
        for path in members:
            if why_not := _why_no_image(root / path):
                rejected.append(Rejected(shown(path), why_not))
            else:
                entries.append((path, index))
    if not entries:
        hint = "Make one sub-folder per class, named as the model names it; or use csv:FILE."
        raise _nothing_usable(f"folder {shown(folder)}", rejected, hint)
    return FileDataset(settings.name, root, entries, labels.class_names, rejected, settings.n_images, seed)


def open_csv(file: str, settings: DatasetSettings, labels: Labels, seed: int) -> FileDataset:
    """Returns the images that a CSV lists, with their labels (index, name or WordNet id).

    The two columns are the settings', else found by their usual names; a file without a header has the path first and the label
    second. Columns are separated by commas, semicolons or tabs. Paths start from `settings.root`, else from the CSV's own
    folder, and may not leave it, but by a link where `settings.follow_links` allows it. A backslash parts folders where no file
    has one in its name. Rows that cannot be used are listed in `rejected`.
    """
    source = Path(file)
    root = _root(Path(settings.root) if settings.root else source.parent, "dataset.root")
    rows = _rows(source)
    path_column, label_column, has_header = _columns(rows[0][1] if rows else [], source, settings, root)
    body = rows[1:] if has_header else rows
    labels = labels.with_ranked_wordnet_ids([row[label_column] for _, row in body if len(row) > label_column])
    rejected: list[Rejected] = []
    seen: dict[str, int] = {}
    for line, row in body:
        where = f"{source.name}:{line}"
        if len(row) <= max(path_column, label_column):
            rejected.append(Rejected(shown(where), f"the row has {_counted(len(row), 'column')}, too few"))
            continue
        path, label = _on_disk(root, row[path_column].strip()), row[label_column]
        why_not = _why_not_below(root, path, settings.follow_links) or labels.why_not(label) or _why_no_image(root / path)
        relative = "" if why_not else _relative(root, path)
        if relative in seen:
            why_not = f"listed again (first on line {seen[relative]})"
        if why_not:
            rejected.append(Rejected(shown(path or where), why_not))
            continue
        seen[relative] = line
    by_line = dict(body)
    entries = [(path, labels.index_of(by_line[line][label_column]) or 0) for path, line in seen.items()]
    if not entries:
        hint = "Each row needs the path of an image (see dataset.root) and a class of the model."
        raise _nothing_usable(shown(file), rejected, hint)
    return FileDataset(settings.name, root, entries, labels.class_names, rejected, settings.n_images, seed)


def folder_classes(folder: str, settings: DatasetSettings) -> tuple[str, ...]:
    """Returns the names of the sub-folders that hold files, in the order of their names."""
    paths, _ = _files_below(_root(Path(folder), "dataset.name"), settings.follow_links)
    return _in_order(path.partition("/")[0] for path in paths if "/" in path)


def csv_classes(file: str, settings: DatasetSettings) -> tuple[str, ...]:
    """Returns the labels of a CSV, in their order."""
    source = Path(file)
    rows = _rows(source)
    root = Path(settings.root) if settings.root else source.parent
    _, column, has_header = _columns(rows[0][1] if rows else [], source, settings, root)
    return _in_order(row[column].strip() for _, row in rows[has_header:] if len(row) > column)


def _in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Returns each name once: numbers by size, else by their letters."""
    found = set(filter(None, names))
    return tuple(sorted(found, key=int) if all(name.isdecimal() for name in found) else sorted(found))


def _root(folder: Path, setting: str) -> Path:
    if not folder.is_dir():
        raise BadInput(f"There is no folder {shown(folder)}.", f"Check {setting}.")
    return folder.resolve()


def _on_disk(root: Path, written: str) -> str:
    """Returns a path as the disk has it: Windows' separator and another Unicode form than the file's name are seen through."""
    slashed = written.replace("\\", "/")
    forms = [unicodedata.normalize(form, path) for path in (written, slashed) for form in ("NFC", "NFD")]
    try:
        return next((path for path in (written, slashed, *forms) if path and (root / path).exists()), written)
    except (OSError, ValueError):
        return written


def _relative(root: Path, path: str) -> str:
    """A path below the root; one that only its links lead there is named by where they lead."""
    named = Path(os.path.normpath(root / path))
    return _below(root, str(named if named.is_relative_to(root) else named.resolve()))


def _files_below(root: Path, follow_links: bool) -> tuple[list[str], list[Rejected]]:
    """Paths below `root` with forward slashes, sorted, and the links and hidden files left out; what runs made is passed over."""
    paths: list[str] = []
    rejected: list[Rejected] = []

    def not_opened(error: OSError) -> None:
        rejected.append(Rejected(shown(error.filename), "cannot be opened"))

    for folder, folder_names, file_names in os.walk(root, onerror=not_opened, followlinks=follow_links):
        for name in sorted(folder_names):
            if why_not := _why_not_entered(root, os.path.join(folder, name), follow_links):
                folder_names.remove(name)
                rejected.append(Rejected(shown(_below(root, folder, name)) + "/", why_not))
        folder_names[:] = sorted(name for name in folder_names if not is_made_by_a_run(Path(folder, name)))
        for name in sorted(file_names):
            path = _below(root, folder, name)
            if why_not := "hidden file" if name.startswith(".") else _why_not_below(root, path, follow_links):
                rejected.append(Rejected(shown(path), why_not))
            else:
                paths.append(path)
    return sorted(paths), rejected


def _below(root: Path, *parts: str) -> str:
    return os.path.relpath(os.path.join(*parts), root).replace(os.sep, "/")


def _why_not_entered(root: Path, folder: str, follow_links: bool) -> str:
    if os.path.basename(folder).startswith("."):
        return "hidden folder"
    if not os.path.islink(folder):
        return ""
    if not follow_links:
        return "a link to a folder is not followed: set dataset.follow_links = true to follow it"
    return "a link to a folder that it lies in" if leads_back(str(root), folder) else ""


def _why_not_below(root: Path, path: str, follow_links: bool) -> str:
    if not path:
        return "the path is empty"
    if os.name != "nt" and PureWindowsPath(path).drive:
        return "a path on a Windows drive: write it from dataset.root on"
    try:
        inside_by_name = Path(os.path.normpath(root / path)).is_relative_to(root)
        inside_by_link = (root / path).resolve().is_relative_to(root)
    except (OSError, ValueError, RuntimeError):
        return "no such file"
    if inside_by_link or (inside_by_name and follow_links):
        return ""
    if not inside_by_name:
        return f"lies outside {shown(root)}: set dataset.root to a folder that holds it"
    return f"a link that leads out of {shown(root)}: set dataset.follow_links = true to follow it"


def _why_no_image(path: Path) -> str:
    try:
        if not path.exists():
            return "no such file"
        if not path.is_file():
            return "not a file"
        if path.stat().st_size == 0:
            return "empty file (0 bytes)"
    except OSError as error:
        return f"cannot be opened: {reason(error)}"
    return "" if image_format(path) else "not an image, by its first bytes"


def _rows(source: Path) -> list[tuple[int, list[str]]]:
    """Non-empty rows with the line they end on."""
    try:
        with source.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            delimiter = max(_DELIMITERS, key=first.count)
            reader = csv.reader(file, delimiter=delimiter)
            return [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except FileNotFoundError as error:
        raise BadInput(f"There is no file {shown(source)}.", "Check dataset.name.") from error
    except OSError as error:
        raise BadInput(f"{shown(source)} cannot be opened: {reason(error)}.") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{shown(source)} is not UTF-8 text.", "Save it as CSV, UTF-8.") from error
    except csv.Error as error:
        raise BadInput(f"{shown(source)} is not a CSV file: {error}.") from error


def _columns(first_row: list[str], source: Path, settings: DatasetSettings, root: Path) -> tuple[int, int, bool]:
    """(path column, label column, whether the first row is a header)."""
    if not first_row:
        raise BadInput(f"{shown(source)} is empty.")
    header = [cell.strip() for cell in first_row]
    by_name = {cell.casefold(): i for i, cell in reversed(list(enumerate(header)))}
    chosen: list[int | None] = []
    for key, wanted, usual in (
        ("path_column", settings.path_column, _PATH_COLUMNS),
        ("label_column", settings.label_column, _LABEL_COLUMNS),
    ):
        if wanted and wanted.casefold() not in by_name:
            what = f"{shown(source)} has no column {wanted!r}; it has {', '.join(map(repr, header))}."
            raise WrongUse(what, f"Set dataset.{key} to one of them.")
        chosen.append(next((by_name[name] for name in ([wanted.casefold()] if wanted else usual) if name in by_name), None))
    path_column, label_column = chosen
    if path_column is not None and label_column is not None:
        return path_column, label_column, True
    named = path_column is not None or bool(settings.path_column or settings.label_column)
    if not named and len(header) >= 2 and (root / header[0]).is_file():
        return 0, 1, False
    lacking, key = ("an image's path", "path_column") if path_column is None else ("a label", "label_column")
    what = f"{shown(source)} has no column that looks like {lacking}; its columns are {', '.join(map(repr, header))}."
    raise WrongUse(what, f"Set dataset.{key}; or leave the header out and write path, label.")


def _nothing_usable(what: str, rejected: list[Rejected], hint: str) -> BadInput:
    if not rejected:
        return BadInput(f"{what[0].upper()}{what[1:]} holds no images.", hint)
    first = f"{_counted(len(rejected), 'thing')} rejected, first {rejected[0].path}: {rejected[0].reason}"
    return BadInput(f"No image in {what} can be used; {first}.", hint)


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
