"""Profiles as TOML files: the built-in ones, a person's own, and what they inherit from one another."""

import textwrap
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from pipeline.core.errors import BadInput, WrongUse, near_match
from pipeline.physical.simulator.profile import Profile
from pipeline.settings.checking import Refused, checked
from pipeline.settings.toml_files import toml_text, toml_tree
from pipeline.settings.writing import toml_value
from pipeline.store import file_hash

_FOLDER = Path(__file__).parent / "profiles"
_WIDTH = 130


def load_profile(name: str | Path) -> Profile:
    """Returns the profile of that name, or of a `.toml` file. A file may name another as its `base` and give what differs.

    Raises:
        WrongUse: there is no such profile.
        BadInput: its file lacks a key, has one too many, or a value of another type or out of its range.
    """
    path = _profile_path(name)
    values = _values(path, ())
    if "name" in values:
        raise BadInput(f'Profile "{path.stem}": unknown key "name": a profile is called as its file is.')
    try:
        return checked(Profile, values | {"name": path.stem})
    except Refused as error:
        raise BadInput(f'Profile "{path.stem}": {error.sentence}', error.hint or "Compare it with office-phone.toml.") from None


def profile_content(profile: Profile) -> dict[str, Any]:
    """Returns what a profile says, wherever it lies and whatever its name: an ICC file is in it as the hash of its bytes."""
    icc = profile.icc_profile and file_hash(Path(profile.icc_profile))
    return {key: value for key, value in asdict(profile).items() if key != "name"} | {"icc_profile": icc}


def profile_names() -> list[str]:
    """Returns the names of all built-in profiles, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def profile_summary(name: str) -> str:
    """Returns the first sentence of a profile's own description, the comment that its file opens with."""
    text = (_FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    opening = " ".join(line.lstrip("# ") for line in text.split("\n\n")[0].splitlines())
    return opening.split(". ")[0].rstrip(".")


def profile_text(opening: str, base: str, values: Mapping[str, Any], remarks: Mapping[str, str]) -> str:
    """Returns a profile as TOML: what differs from its base, each value with a remark, in the tables of the built-in files.

    Args: `opening` the description that the file opens with, one paragraph; `base` a built-in profile's name or the path of a
    file, from where this one will lie.
    Raises: ValueError for a key that is no parameter.
    """
    odd = sorted(values.keys() - {f.name for f in fields(Profile)} | values.keys() & {"name"})
    if odd:
        raise ValueError(f"expected parameters of a profile, got {', '.join(odd)}")
    lines = [*textwrap.wrap(opening, _WIDTH, initial_indent="# ", subsequent_indent="# "), f"base = {toml_value(base)}"]
    for table, keys in _tables().items():
        shown = [key for key in keys if key in values]
        lines += ["", f"[{table}]"] if shown else []
        for key in shown:
            text = f"{key} = {toml_value(_rounded(values[key]))}"
            remark = f"# {remarks[key]}" if remarks.get(key) else ""
            fits = len(text) + 2 + len(remark) <= _WIDTH
            lines += [f"{text}  {remark}".rstrip()] if fits else [*([remark] if remark else []), text]
    return "\n".join(lines) + "\n"


def _tables() -> dict[str, list[str]]:
    """Returns the tables of the built-in files, each with its keys."""
    tree = tomllib.loads((_FOLDER / "office-phone.toml").read_text(encoding="utf-8"))
    return {name: list(table) for name, table in tree.items() if isinstance(table, dict)}


def _rounded(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_rounded, value))
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _profile_path(name: str | Path) -> Path:
    path = Path(name)
    if path.suffix == ".toml":
        if not path.is_file():
            raise WrongUse(f"{path}: no such profile file.", f"Choose one of: {', '.join(profile_names())}.")
        return path
    if name not in profile_names():
        raise WrongUse(f'There is no simulator profile "{name}".', near_match(str(name), profile_names()))
    return _FOLDER / f"{name}.toml"


def _values(path: Path, above: tuple[Path, ...]) -> dict[str, object]:
    try:
        tree = toml_tree(toml_text(path), str(path))
    except FileNotFoundError:
        raise BadInput(f"{path}: no such profile file.") from None
    base = tree.pop("base", None)
    stray = sorted(key for key, value in tree.items() if not isinstance(value, dict))
    if stray or (base is not None and not isinstance(base, str)):
        raise BadInput(f"{path}: {', '.join(stray or ['base'])} does not belong there.", "Compare it with office-phone.toml.")
    values = {key: value for table in tree.values() for key, value in table.items()}
    # an ICC file lies beside the profile that names it
    if values.get("icc_profile"):
        values["icc_profile"] = str(path.parent / str(values["icc_profile"]))
    if base is None:
        return values
    if path in above:
        raise BadInput(f"{path}: its base leads back to itself.")
    below = _profile_path(path.parent / base if base.endswith(".toml") else base)
    return _values(below, (*above, path)) | values
