"""Reads TOML that a person wrote, and refuses what no setting can be before anything is done with it."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.core.errors import BadInput
from pipeline.settings.source import line_numbers

MOST_LEVELS = 16
# TOML's whole numbers have 64 bits; a larger one could not be written back.
LARGEST = 2**63 - 1


def toml_text(path: Path) -> str:
    """Returns the text of a file.

    Raises:
        FileNotFoundError: there is none.
        BadInput: it cannot be read, or is no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise
    except IsADirectoryError:
        raise BadInput(f"{path} is a folder.", "Name a TOML file in it.") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not UTF-8 text.", "Save it as UTF-8.") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from None


def toml_tree(text: str, where: str) -> dict[str, Any]:
    """Returns the tables of a TOML text; `where` is what messages call it.

    Raises:
        BadInput: it is not TOML, is nested too deeply, or holds a number or a text that no setting can be.
    """
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r" \(at line (\d+).*\)", str(error))
        said = str(error).replace(line[0], "") if line else str(error).replace(" (at end of document)", ", at its end")
        raise BadInput(f"{where}{':' + line[1] if line else ''}: not valid TOML: {said}.") from None
    except RecursionError:
        raise BadInput(f"{where}: its lists or tables are nested too deeply.", _LEVELS) from None
    except ValueError:  # of Python, on the digits of a number
        raise BadInput(f"{where}: a whole number has too many digits.", _NUMBERS) from None
    return checked_tree(tree, where, line_numbers(text))


_LEVELS = f"At most {MOST_LEVELS} levels are read."
_NUMBERS = f"The largest is {LARGEST}."


def checked_tree(tree: dict[str, Any], where: str, lines: Mapping[str, int] = {}) -> dict[str, Any]:
    """Returns tables as they are; raises as `toml_tree` where they hold what no setting can be.

    Args:
        lines: the line of each key, where it is known.
    """

    def at(key: str) -> str:
        return f"{where}:{lines[key]}" if key in lines else where

    open_: list[tuple[Any, str, int]] = [(tree, "", 0)]
    while open_:
        value, key, level = open_.pop()
        if level > MOST_LEVELS:
            top = key.partition(".")[0]
            raise BadInput(f"{at(top)}: {top} is nested too deeply.", _LEVELS)
        if isinstance(value, dict):
            open_ += [(inner, f"{key}.{name}".lstrip("."), level + 1) for name, inner in value.items()]
            value = "".join(value)
        elif isinstance(value, list):
            open_ += [(inner, f"{key}.{i}" if isinstance(inner, dict) else key, level + 1) for i, inner in enumerate(value)]
        elif isinstance(value, int) and abs(value) > LARGEST:
            raise BadInput(f"{at(key)}: {key} is too large a number.", _NUMBERS)
        if isinstance(value, str) and "\0" in value:
            raise BadInput(f"{at(key)}: {key or 'a key'} holds a zero character.", "Remove it.")
    return tree
