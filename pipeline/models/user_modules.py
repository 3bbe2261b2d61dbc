"""A user's own modules, kept apart from all others: their names are found first, and which files were imported is known."""

import builtins
import hashlib
import importlib
import os
import sys
import sysconfig
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import Loader
from importlib.machinery import ExtensionFileLoader, ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import resolve_name, spec_from_file_location
from itertools import count
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

_PREFIX = "inkproof_user_"
_PROJECT = Path(__file__).resolve().parents[1]
_NOT_THE_USERS = (
    *(Path(sysconfig.get_path(key)).resolve() for key in ("stdlib", "platstdlib")),
    _PROJECT,
    _PROJECT.with_name("inkproof.py"),
)
_INSTALLED = {"site-packages", "dist-packages"}


class UserModules:
    """The modules of a user's folders, as submodules of a package of their own, `inkproof_user_1`.

    An import statement in one of them, whenever and in whichever thread it runs, looks into the folders first and then where
    Python would look; statements in all other modules never see the folders. While `shown` lasts, plain names mean these modules
    also for those who ask by name, such as `importlib.import_module` or a pickle. A module is the user's unless it lies among
    the installed packages, in the standard library or in this project.
    """

    def __init__(self, folders: Sequence[str]) -> None:
        self.name = f"{_PREFIX}{next(_NUMBERS)}"
        self.are_asked_by_name = False
        self._folders = [os.path.abspath(folder) for folder in folders]
        self._files: dict[str, tuple[str, str]] = {}  # name -> path and SHA-256 of the content that ran
        self._imports: dict[str, set[str]] = {}
        self._elsewhere: dict[str, ModuleSpec] = {}
        self._installed: set[str] = set()
        self._aliases: dict[str, ModuleType] = {}
        self._hidden: dict[str, ModuleType] = {}
        self._path_before: list[str] = []
        self._stems: set[str] = set()
        self._root = ""
        package = ModuleType(self.name, "A user's own modules.")
        package.__path__ = self._folders
        sys.modules[self.name], _ALL[self.name] = package, self
        if _FINDER not in sys.meta_path:
            sys.meta_path.insert(0, _FINDER)

    def imported(self, name: str) -> ModuleType:
        """Returns the module of a dotted name, imported; whatever its code raises passes through."""
        importlib.invalidate_caches()
        with self.shown(name):
            return importlib.import_module(f"{self.name}.{name}" if self._owns(name.partition(".")[0]) else name)

    def imported_file(self, path: Path, name: str) -> ModuleType:
        """Returns the module in a file, imported under a name."""
        if f"{self.name}.{name}" not in sys.modules:
            self._elsewhere[name] = ModuleSpec(name, SourceFileLoader(name, str(path)), origin=os.path.abspath(path))
        return self.imported(name)

    @contextmanager
    def shown(self, root: str) -> Iterator[None]:
        """Lets plain names mean these modules for the calling thread; afterwards `sys.path` and `sys.modules` are as before.

        Args:
            root: the module that counts as the importer of what is asked for by name.
        """
        with _LOCK:
            outer = _HERE.modules
            if outer is self:
                yield
                return
            if outer:
                outer._hide()
            path, self._root = sys.path, root
            sys.path = [*(folder for folder in self._folders if _INSTALLED & set(Path(folder).parts)), *path]
            self._path_before, self._stems, _HERE.modules = list(sys.path), _stems(self._folders), self
            self._show()
            try:
                yield
            finally:
                self._adopt_path()
                self._hide()
                sys.path, _HERE.modules = path, outer
                if outer:
                    outer._show()

    def files(self, root: str) -> dict[str, tuple[Path, str]]:
        """Returns the file and the SHA-256 of its content as it ran of all modules here that `root` imported, itself included."""
        todo, found = [root], set()
        while todo:
            name = todo.pop()
            if name and name not in found:
                found.add(name)
                todo += [name.rpartition(".")[0], *self._imports.get(name, ())]
        return {name: (Path(self._files[name][0]), self._files[name][1]) for name in sorted(found & self._files.keys())}

    def place_of(self, error: BaseException) -> str:
        """Returns the last of the user's lines that an error went through, as "net.py, line 3"; "" where there is none."""
        known, place, trace = {path for path, _ in self._files.values()}, "", error.__traceback__
        while trace:
            path = trace.tb_frame.f_code.co_filename
            place = f"{_short(path)}, line {trace.tb_lineno}" if path in known else place
            trace = trace.tb_next
        if isinstance(error, SyntaxError) and error.filename in known:
            place = f"{_short(error.filename)}, line {error.lineno}"
        return place

    def is_outdated(self) -> bool:
        """Whether a file that was imported is another one by now."""
        return any(not os.path.isfile(path) or _sha256(path) != sha256 for path, sha256 in self._files.values())

    def note(self, full_name: str, path: str, sha256: str) -> None:
        """Remembers which file a module came from."""
        self._files[self._plain(full_name)] = path, sha256

    def spec_of(self, full_name: str, path: Sequence[str] | None) -> ModuleSpec | None:
        """Returns how to load one of these modules by its full name; `path` is its package's."""
        name = self._plain(full_name)
        found = PathFinder.find_spec(full_name, path) if "." in name else self._elsewhere.get(name) or self._in_folders(name)
        if found is None or found.origin is None:
            return found and _folder_spec(full_name, found)
        inside = found.submodule_search_locations
        loader: SourceFileLoader | _ExtensionLoader
        if isinstance(found.loader, ExtensionFileLoader):
            loader = _ExtensionLoader(full_name, found.origin)
            self.note(full_name, found.origin, _sha256(found.origin))
        else:
            loader = _SourceLoader(full_name, found.origin, self)
        return spec_from_file_location(full_name, found.origin, loader=loader, submodule_search_locations=inside)

    def alias_of(self, name: str) -> ModuleSpec | None:
        """Returns how to load one of these modules under its plain name, None where it is not the user's."""
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or not self._owns(top):
            return None
        try:
            module = importlib.import_module(f"{self.name}.{name}")
        except ModuleNotFoundError as error:
            if error.name == f"{self.name}.{name}":
                return None
            raise
        self.are_asked_by_name = True
        self._imports.setdefault(self._root, set()).add(name)
        self._aliases[name] = module
        return ModuleSpec(name, _Alias(module))

    def import_for(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """Stands for `__import__` in these modules."""
        if isinstance(fromlist, list):  # not a statement but compiled code, as a pickle's, which looks into sys.modules next
            return builtins.__import__(name, globals, locals, fromlist, level)
        if level == 0 and not self._owns(name.partition(".")[0]):
            with nothing_shown():
                return builtins.__import__(name, globals, locals, fromlist or (), 0)
        importer = globals or {}
        full = resolve_name("." * level + name, importer.get("__package__") or "") if level else f"{self.name}.{name}"
        found = builtins.__import__(full, globals, locals, fromlist or (), 0)
        children = vars(found).get("__all__", ()) if fromlist and "*" in fromlist else fromlist or ()
        names = {self._plain(each) for each in (full, *(f"{full}.{child}" for child in children)) if each in sys.modules}
        self._imports.setdefault(self._plain(importer.get("__name__", "")), set()).update(names)
        return found if fromlist else sys.modules[".".join(full.split(".")[:2])]

    def _owns(self, top: str) -> bool:
        if _HERE.modules is self:
            self._adopt_path()
        if top in self._elsewhere or f"{self.name}.{top}" in sys.modules or self._in_folders(top):
            return True
        if top not in self._installed and (found := _found_anywhere(top)):
            if _is_users(found):
                self._elsewhere[top] = found
                return True
            self._installed.add(top)
        return False

    def _in_folders(self, top: str) -> ModuleSpec | None:
        """A name in the folders; a folder without `__init__.py` gives way to what has one, except to this project."""
        found = PathFinder.find_spec(top, self._folders)
        if found is None or not _is_users(found):
            return None
        if found.origin is None and (other := _found_anywhere(top)) and other.origin:
            place = Path(other.origin).resolve()
            is_project = place.is_relative_to(_PROJECT) or place == _PROJECT.parent / "inkproof.py"
            inside = found.submodule_search_locations or ()
            return found if is_project and any(next(Path(folder).rglob("*.py"), None) for folder in inside) else None
        return found

    def _adopt_path(self) -> None:
        """What the user's code adds to `sys.path` is one of its folders."""
        added = [os.path.abspath(folder) for folder in sys.path if folder not in self._path_before]
        new = [folder for folder in added if folder not in self._folders]
        self._folders += new
        self._stems |= _stems(new)

    def _show(self) -> None:
        known = (self._stems & sys.modules.keys()) - sys.stdlib_module_names - {"__main__"}
        names = {name for name in known if self._in_folders(name)}
        if names:
            found = [name for name in sys.modules if name.partition(".")[0] in names]
            self._hidden = {name: sys.modules.pop(name) for name in found}
        sys.modules.update(self._aliases)

    def _hide(self) -> None:
        for name in self._aliases:
            sys.modules.pop(name, None)
        sys.modules.update(self._hidden)
        self._hidden = {}

    def _plain(self, full_name: str) -> str:
        return full_name.removeprefix(f"{self.name}.")


def user_modules(folders: Sequence[str]) -> UserModules:
    """Returns the modules of these folders: those of before, as Python would keep them, until one of their files changes."""
    key = tuple(os.path.abspath(folder) for folder in folders) or (os.getcwd(),)
    found = _LATEST.get(key)
    if found is None or found.is_outdated():
        found = _LATEST[key] = UserModules(folders)
    return found


@contextmanager
def nothing_shown() -> Iterator[None]:
    """Gives the calling thread the plain names back, wherever it is called from."""
    outer = _HERE.modules
    if outer is None:
        yield
        return
    outer._hide()
    _HERE.modules = None
    try:
        yield
    finally:
        _HERE.modules = outer
        outer._show()


class _Finder:
    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name.startswith(_PREFIX):
            modules = _ALL.get(name.partition(".")[0])
            return modules.spec_of(name, path) if modules else None
        return _HERE.modules.alias_of(name) if _HERE.modules else None


class _SourceLoader(SourceFileLoader):
    def __init__(self, full_name: str, path: str, modules: UserModules) -> None:
        super().__init__(full_name, path)
        self._modules = modules

    def get_code(self, full_name: str) -> CodeType:
        """Compiles what is on disk: kept bytecode knows a file by its size and whole seconds only."""
        text = self.get_data(self.path)
        self._modules.note(full_name, self.path, hashlib.sha256(text).hexdigest())
        return self.source_to_code(text, self.path)

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": self._modules.import_for}
        super().exec_module(module)


class _ExtensionLoader(ExtensionFileLoader):
    """Loads a compiled module once a process, for many cannot be loaded again."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _EXTENSIONS.get(self.path) or super().create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if self.path not in _EXTENSIONS:
            super().exec_module(module)
            _EXTENSIONS[self.path] = module


class _Alias(Loader):
    """Gives a module that is loaded already, under a second name."""

    def __init__(self, module: ModuleType) -> None:
        self._module, self._spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


class _Here(threading.local):
    modules: UserModules | None = None


def _folder_spec(full_name: str, found: ModuleSpec) -> ModuleSpec:
    spec = ModuleSpec(full_name, None, is_package=True)
    spec.submodule_search_locations = list(found.submodule_search_locations or ())
    return spec


def _found_anywhere(top: str) -> ModuleSpec | None:
    """What Python would import under a name, if nothing had been imported yet."""
    specs = (finder.find_spec(top, None) for finder in sys.meta_path if finder is not _FINDER)
    return next((spec for spec in specs if spec), None)


def _is_users(spec: ModuleSpec) -> bool:
    places = [spec.origin] if spec.origin else spec.submodule_search_locations or ()
    return any(_is_users_place(Path(os.path.abspath(place))) for place in places)


def _is_users_place(path: Path) -> bool:
    if not path.exists() or _INSTALLED & set(path.parts):
        return False
    real = path.resolve()
    return not any(real.is_relative_to(place) for place in _NOT_THE_USERS)


def _stems(folders: Sequence[str]) -> set[str]:
    return {name.partition(".")[0] for folder in folders if os.path.isdir(folder) for name in os.listdir(folder)}


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _short(path: str) -> str:
    return os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else path


_NUMBERS = count(1)
_ALL: dict[str, UserModules] = {}
_LATEST: dict[tuple[str, ...], UserModules] = {}
_EXTENSIONS: dict[str, ModuleType] = {}
_FINDER = _Finder()
_HERE = _Here()
_LOCK = threading.RLock()
# Whoever is called from a user's module that hides the project's modules finds this one under a name that is never hidden.
sys.modules["inkproof_own_ground"] = sys.modules[__name__]
