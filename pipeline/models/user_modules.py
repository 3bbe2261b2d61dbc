"""A user's own modules, kept apart from all others: their names are found first, and which files were imported is known."""

import hashlib
import importlib
import os
import sys
import sysconfig
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader
from importlib.machinery import ExtensionFileLoader, ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from pipeline.store import file_hash

_PROJECT = Path(__file__).resolve().parents[1]
_OURS = ("pipeline", "inkproof")
_NOT_THE_USERS = (
    *(Path(sysconfig.get_path(key)).resolve() for key in ("stdlib", "platstdlib")),
    *(_PROJECT, _PROJECT.with_name("inkproof.py")),
)
_INSTALLED = {"site-packages", "dist-packages"}


class UserModules:
    """A module of a user's, the root, with all that it imports, whatever is called likewise elsewhere.

    While `shown` lasts, plain names mean these modules: their folders lead `sys.path`, and others of the same names are out of
    `sys.modules`. Before and after, nobody sees them; and what an installed package imports while it is loaded is never theirs.
    A module is the user's unless it lies among the installed packages, in the standard library or in this project.

    Attributes:
        root: its dotted name.
        files: path and SHA-256, as it ran, of every module by its name.
    """

    def __init__(self, folders: Sequence[str], root: str, file: str = "") -> None:
        self.files: dict[str, tuple[str, str]] = {}
        self._folders, self.root, self._file = [os.path.abspath(folder) for folder in folders], root, file
        self._names: set[str] = set()
        self._modules: dict[str, ModuleType] = {}
        self._hidden: dict[str, ModuleType] = {}
        self._path: list[str] = []
        tops = {name: getattr(module, "__spec__", None) for name, module in sys.modules.items() if "." not in name}
        self._imported_before = {name for name, spec in tops.items() if name != "__main__" and spec and _is_users(spec)}
        if _FINDER not in sys.meta_path:
            sys.meta_path.insert(0, _FINDER)

    def imported(self) -> ModuleType:
        """Returns the root, imported; whatever its code raises passes through."""
        importlib.invalidate_caches()
        with self.shown():
            return importlib.import_module(self.root)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Lets plain names mean these modules; afterwards `sys.path` and `sys.modules` are as before."""
        with _LOCK, _only(self):
            yield

    def place_of(self, error: BaseException) -> str:
        """Returns the last of the user's lines that an error went through, as "net.py, line 3"; "" where there is none."""
        known, place, trace = {path for path, _ in self.files.values()}, "", error.__traceback__
        while trace:
            path = trace.tb_frame.f_code.co_filename
            place = f"{_short(path)}, line {trace.tb_lineno}" if path in known else place
            trace = trace.tb_next
        if isinstance(error, SyntaxError) and error.filename in known:
            place = f"{_short(error.filename)}, line {error.lineno}"
        return place

    def is_outdated(self) -> bool:
        """Whether a file that was imported is another one by now."""
        return any(not os.path.isfile(path) or file_hash(Path(path)) != sha256 for path, sha256 in self.files.values())

    def spec_of(self, name: str, path: Sequence[str] | None) -> ModuleSpec | None:
        """Returns how a module is loaded while these are shown; `path` is its package's."""
        found = self._found(name, path)
        if found is None or not _is_users(found):
            if found and found.loader and found.origin:
                found.loader = _Apart(found.loader)
            return found
        self._names.add(name)
        if found.origin and isinstance(found.loader, ExtensionFileLoader):
            found.loader = _ExtensionLoader(name, found.origin)
            self.files[name] = found.origin, file_hash(Path(found.origin))
        elif found.origin:
            found.loader = _SourceLoader(name, found.origin, self.files)
        return found

    def _found(self, name: str, path: Sequence[str] | None = None) -> ModuleSpec | None:
        """What Python finds; a folder of the user's without `__init__.py` gives way to other packages, except to this project."""
        if name == self.root and self._file:
            return spec_from_file_location(name, self._file)
        own = PathFinder.find_spec(name, self._folders) if name in _OURS else None
        if own and (own.origin or any(any(Path(place).rglob("*.py")) for place in own.submodule_search_locations or ())):
            return own
        specs = (finder.find_spec(name, path) for finder in sys.meta_path if finder is not _FINDER)
        return next((spec for spec in specs if spec), None)

    def show(self) -> None:
        """Puts these modules in the place of others; `hide` takes them away again."""
        self._path, sys.path = sys.path, [*self._folders, *sys.path]
        listed = (name.partition(".")[0] for folder in self._folders if os.path.isdir(folder) for name in os.listdir(folder))
        names = {name for name in set(listed) & sys.modules.keys() if (spec := self._found(name)) and _is_users(spec)}
        tops = (names | self._imported_before | ({self.root} if self._file else set())) & sys.modules.keys()
        hidden = [name for name in sys.modules if name.partition(".")[0] in tops] if tops else []
        self._hidden = {name: sys.modules.pop(name) for name in hidden}
        sys.modules.update(self._modules)

    def hide(self) -> None:
        """Puts everything back; what the user's code added to `sys.path` is one of its folders from now on."""
        self._folders += [os.path.abspath(folder) for folder in sys.path if folder not in (*self._folders, *self._path)]
        self._modules = {name: sys.modules.pop(name) for name in self._names if name in sys.modules}
        sys.modules.update(self._hidden)
        sys.path = self._path


def user_modules(folders: Sequence[str], root: str, file: str = "") -> UserModules:
    """Returns a root with its modules: those of before, as Python would keep them, until one of their files changes.

    Args:
        folders: where names are looked for first.
        root: the module's dotted name. file: where it lies, if it shall not be looked for.
    """
    key = *(os.path.abspath(folder) for folder in folders or [""]), root, file
    found = _LATEST.get(key)
    if found is None or found.is_outdated():
        found = _LATEST[key] = UserModules(folders, root, file)
    return found


@contextmanager
def nothing_shown() -> Iterator[None]:
    """Gives all others the plain names back, wherever it is called from."""
    with _only(None):
        yield


@contextmanager
def _only(modules: UserModules | None) -> Iterator[None]:
    outer, thread = _NOW.modules, threading.get_ident()
    if outer is modules or (modules is None and _NOW.thread != thread):
        yield
        return
    if outer:
        outer.hide()
    if modules:
        modules.show()
    _NOW.modules, _NOW.thread = modules, thread
    try:
        yield
    finally:
        if modules:
            modules.hide()
        if outer:
            outer.show()
        _NOW.modules = outer


class _Now:
    """Whose modules are shown, and by which thread."""

    modules: UserModules | None = None
    thread = 0


class _Finder:
    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        return _NOW.modules.spec_of(name, path) if _NOW.modules else None


class _SourceLoader(SourceFileLoader):
    """Compiles what is on disk, and notes it: kept bytecode knows a file by its size and whole seconds only."""

    def __init__(self, name: str, path: str, files: dict[str, tuple[str, str]]) -> None:
        super().__init__(name, path)
        self._files = files

    def get_code(self, name: str) -> CodeType:
        text = self.get_data(self.path)
        self._files[name] = self.path, hashlib.sha256(text).hexdigest()
        return self.source_to_code(text, self.path)


class _ExtensionLoader(ExtensionFileLoader):
    """Loads a compiled module once a process, for many cannot be loaded again."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _EXTENSIONS.get(self.path) or super().create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if self.path not in _EXTENSIONS:
            super().exec_module(module)
            _EXTENSIONS[self.path] = module


class _Apart(Loader):
    """Loads what is not the user's with nothing of the user's shown, and leaves no trace of itself."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self._loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        spec: Any = module.__spec__
        spec.loader = module.__loader__ = self._loader
        with nothing_shown():
            self._loader.exec_module(module)


def _is_users(spec: ModuleSpec) -> bool:
    places = [spec.origin] if spec.origin else spec.submodule_search_locations or ()
    return any(_is_users_place(Path(os.path.abspath(place))) for place in places)


def _is_users_place(path: Path) -> bool:
    if not path.exists() or _INSTALLED & set(path.parts):
        return False
    real = path.resolve()
    return not any(real.is_relative_to(place) for place in _NOT_THE_USERS)


def _short(path: str) -> str:
    return os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else path


_LATEST: dict[tuple[str, ...], UserModules] = {}
_EXTENSIONS: dict[str, ModuleType] = {}
_FINDER, _NOW, _LOCK = _Finder(), _Now(), threading.RLock()
# Whoever is called from a user's module that hides the project's modules finds this one under a name that is never hidden.
sys.modules["inkproof_own_ground"] = sys.modules[__name__]
