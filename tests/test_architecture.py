"""The house keeps its floors: an import only points to a lower floor, and rooms on one floor do not import each other."""

import ast
import tomllib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "pipeline"
FLOORS = {
    0: ("core",),
    1: ("records", "specs", "statistics"),
    2: ("document", "engine", "images", "settings", "signs", "store"),
    3: ("datasets", "models", "physical", "report", "transforms"),
    4: ("attacks", "evaluation"),
    5: ("defences", "exports", "planning", "training"),
    6: ("studies",),
    7: ("stages",),
    8: ("companion",),
    9: ("cli",),
    10: ("__main__", "__init__"),
}
MAY_PRINT = ("cli", "__main__", "signs")
FLOOR_OF = {room: floor for floor, rooms in FLOORS.items() for room in rooms}
FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def imported_rooms(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(tree_of(path)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "pipeline":
            names = [f"pipeline.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        rooms |= {name.split(".")[1] for name in names if name.startswith("pipeline.")}
    return rooms


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def test_every_room_has_a_floor():
    assert {room_of(path) for path in FILES} <= set(FLOOR_OF)


def test_imports_point_down():
    wrong = [
        f"{name_of(path)} (floor {FLOOR_OF[room_of(path)]}) imports {room} (floor {FLOOR_OF[room]})"
        for path in FILES
        for room in imported_rooms(path) - {room_of(path)}
        if FLOOR_OF[room] >= FLOOR_OF[room_of(path)]
    ]
    assert not wrong, "\n".join(wrong)


def test_only_the_command_line_prints_or_exits():
    wrong = []
    for path in FILES:
        if room_of(path) not in MAY_PRINT:
            calls = [node.func for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)]
            names = {func.id for func in calls if isinstance(func, ast.Name)} & {"print", "exit", "quit"}
            wrong += [f"{name_of(path)} calls {name}" for name in sorted(names)]
    assert not wrong, "\n".join(wrong)


def test_a_file_opens_with_one_sentence():
    opened = {name_of(path): ast.get_docstring(tree_of(path)) or "" for path in FILES}
    assert not [name for name, text in opened.items() if not text.split("\n")[0].endswith((".", ":", "?"))]


def test_every_package_is_installed():
    listed = set(tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"])
    found = {".".join(file.parent.relative_to(PACKAGE.parent).parts) for file in PACKAGE.rglob("__init__.py")}
    assert found == listed - {"pipeline.examples"}
