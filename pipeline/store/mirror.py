"""A workspace in an object store: its working copy here is brought up to date before a command, and sent back as that goes on."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import socket
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipeline.core.errors import BadInput, Unavailable, WrongUse, in_a_line
from pipeline.store.files import PARTIAL, RECORDS, write_bytes

SEND_EVERY_S = 60.0
# Who has not been heard of for so long is taken to be gone.
SILENT_S = 600.0
_STATE, _LOCK = ".mirror.json", "inkproof.lock"
# What belongs to this machine alone.
_OWN = (_STATE, ".hashes.json", _LOCK)
_DATABASE = ".sqlite"
# Where a store says which version of a file it has.
_VERSIONS = ("ETag", "etag", "md5Hash", "content_md5", "mtime", "LastModified", "last_modified", "modified", "created")
_AGAIN = "What is done is kept here; the same command goes on."


@contextlib.contextmanager
def workspace_at(place: Path | str, writes: bool = True) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Gives the folder of a workspace on this machine, and what sends its changes to the store where it lies in one.

    Raises:
        Unavailable, BadInput, WrongUse: see `mirrored`.
    """
    if "://" not in str(place):
        yield Path(place), lambda: None
        return
    with mirrored(str(place), writes) as mirror:
        yield mirror.folder, mirror.send


def words_of(folder: Path) -> str:
    """Returns how a person names a workspace: a working copy by the URL that it is of."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        return str(json.loads((folder / _STATE).read_bytes())["url"])
    return str(folder)


@contextlib.contextmanager
def mirrored(url: str, writes: bool = True) -> Iterator["Mirror"]:
    """Gives the working copy of a workspace in a store, up to date, and sends back what changes in it: also after an error.

    Raises:
        Unavailable: the store cannot be reached, a package or a right is missing, or another command works there.
        WrongUse, BadInput: there is no such kind of store, or no such bucket.
    """
    mirror = Mirror(url)
    with _alone(mirror.folder / f".{_LOCK}") as is_alone:
        if not writes:
            if is_alone:  # else the one that works here has the latest
                mirror.fetch()
            yield mirror
            return
        if not is_alone:
            raise Unavailable(f"Another inkproof is working in {url} on this machine.", "Wait until it has ended.")
        with mirror.locked():
            mirror.fetch()
            try:
                yield mirror
            except BaseException:
                with contextlib.suppress(Exception):  # the first error is the one to be told
                    mirror.send()
                raise
            mirror.send()


class Mirror:
    """A folder here and the same in a store; the folder's own file says which versions of both were last the same.

    Of a file that changed in both, that of the store counts. A stage's record is sent last and taken away first, so that in the
    store, too, its presence means complete.
    """

    def __init__(self, url: str) -> None:
        with _reached(url):
            import fsspec

            self._store, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        self.url, self._root = url, root.rstrip("/")
        self.folder = _cache() / "workspaces" / hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:16]
        self.folder.mkdir(parents=True, exist_ok=True)
        self._token, self._sends = uuid.uuid4().hex, threading.Lock()
        self._state: dict[str, list[Any]] = _read_state(self.folder / _STATE)

    def fetch(self) -> None:
        """Brings the folder up to date with the store."""
        with _reached(self.url):
            there = self._there()
            wanted = [
                name
                for name, version in there.items()
                if not (self.folder / name).is_file() or self._state.get(name, [None])[0] != version
            ]
            for name in sorted(self._state.keys() - there.keys()):
                if _version_here(self.folder / name) == self._state.pop(name)[1:]:
                    (self.folder / name).unlink()
            partial = [self.folder / f"{name}{PARTIAL}" for name in wanted]
            for path in partial:
                path.parent.mkdir(parents=True, exist_ok=True)
            if wanted:
                self._store.get([self._at(name) for name in wanted], list(map(str, partial)))
            for name, path in zip(wanted, partial, strict=True):
                if name.endswith(_DATABASE):  # what was left open of another version is none of this one
                    (self.folder / f"{name}-journal").unlink(missing_ok=True)
                os.replace(path, self.folder / name)
                self._state[name] = [there[name], *_version_here(self.folder / name)]
        self._keep_state()

    def send(self) -> None:
        """Sends what changed in the folder since, and removes in the store what was removed here."""
        with self._sends:
            here = self._here()
            changed = [name for name, version in here.items() if self._state.get(name, [None])[1:] != version]
            gone = [name for name in self._state if name not in here]
            if not changed and not gone:
                return
            records = {name: (self.folder / name).read_bytes() for name in changed if _is_record(name)}
            files = [name for name in changed if name not in records]
            with _reached(self.url):
                self._remove([name for name in (*records, *gone) if _is_record(name) and name in self._state])
                with self._as_they_are(files) as whole:
                    if whole:
                        self._store.put(list(map(str, whole.values())), [self._at(name) for name in whole])
                self._remove([name for name in gone if not _is_record(name)])
                for name, content in records.items():
                    self._store.pipe_file(self._at(name), content)
                there = self._there()
            for name in gone:
                del self._state[name]
            self._state |= {name: [there[name], *here[name]] for name in (*whole, *records) if name in there}
            self._keep_state()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps others out of the store as well as a store allows, says every minute that this one is alive, and sends meanwhile.

        Raises:
            Unavailable: another command works there.
        """
        with _reached(self.url):
            self._take()
        ended = threading.Event()
        beats = threading.Thread(target=self._beat, args=(ended,), daemon=True)
        beats.start()
        try:
            yield
        finally:
            ended.set()
            beats.join()
            with contextlib.suppress(Exception):
                if self._holder().get("token") == self._token:
                    self._store.rm_file(self._at(_LOCK))

    def _take(self) -> None:
        holder = self._holder()
        if holder and not _is_gone(holder):
            raise self._taken(holder)
        if holder:
            self._store.rm_file(self._at(_LOCK))
        try:
            self._store.pipe_file(self._at(_LOCK), self._sign_of_life(), mode="create")
        except FileExistsError:
            raise self._taken(self._holder()) from None
        if self._holder().get("token") != self._token:
            raise self._taken(self._holder())

    def _taken(self, holder: dict[str, Any]) -> Unavailable:
        who = holder.get("host", "another machine")
        hint = f"Wait until it has ended; one that was ended from outside counts as gone after {SILENT_S / 60:.0f} minutes."
        return Unavailable(f"Another inkproof is working in {self.url}, on {who}.", hint)

    def _holder(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self._store.cat_file(self._at(_LOCK)))
            return found
        except (FileNotFoundError, ValueError):
            return {}

    def _sign_of_life(self) -> bytes:
        told = {"token": self._token, "host": socket.gethostname(), "process": os.getpid(), "at_s": time.time()}
        return json.dumps(told).encode()

    def _beat(self, ended: threading.Event) -> None:
        took_s = 0.0
        while not ended.wait(min(max(SEND_EVERY_S, 10 * took_s), SILENT_S / 3)):
            began_s = time.monotonic()
            with contextlib.suppress(Exception):  # the end of a stage says what is wrong
                self._store.pipe_file(self._at(_LOCK), self._sign_of_life())
                self.send()
            took_s = time.monotonic() - began_s

    def _there(self) -> dict[str, str]:
        """Returns the version of each file in the store, by its path below the workspace."""
        self._store.invalidate_cache()
        found = {}
        for path, about in self._store.find(self._root, detail=True).items():
            name = path.removeprefix(self._root).lstrip("/")
            if _is_kept(name) and ".." not in name.split("/") and not name.endswith("/"):
                version = next((about[key] for key in _VERSIONS if about.get(key)), "")
                found[name] = f"{about['size']} {version}"
        return found

    def _here(self) -> dict[str, list[int]]:
        found = {}
        for folder, _, names in os.walk(self.folder):
            for path in (Path(folder, name) for name in names):
                name = path.relative_to(self.folder).as_posix()
                if _is_kept(name) and (version := _version_here(path)):
                    found[name] = version
        return found

    @contextlib.contextmanager
    def _as_they_are(self, names: list[str]) -> Iterator[dict[str, Path]]:
        """Gives the files to send; of a database that may be written meanwhile a copy, and nothing where that is torn."""
        whole = {name: self.folder / name for name in names}
        copies = [name for name in names if name.endswith(_DATABASE)]
        for name in copies:
            whole[name] = self.folder / f"{name}{PARTIAL}"
            shutil.copyfile(self.folder / name, whole[name])
        try:
            yield {name: path for name, path in whole.items() if name not in copies or _is_sound(path)}
        finally:
            for name in copies:
                whole[name].unlink()

    def _remove(self, names: list[str]) -> None:
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                self._store.rm_file(self._at(name))

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _keep_state(self) -> None:
        write_bytes(self.folder / _STATE, json.dumps({"url": self.url, "files": self._state}).encode())


def _cache() -> Path:
    own = os.environ.get("INKPROOF_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inkproof"


def _read_state(path: Path) -> dict[str, list[Any]]:
    try:
        found: dict[str, list[Any]] = json.loads(path.read_bytes())["files"]
        return found
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _is_sound(database: Path) -> bool:
    try:
        with contextlib.closing(sqlite3.connect(database)) as opened:
            return bool(opened.execute("PRAGMA quick_check").fetchone() == ("ok",))
    except sqlite3.Error:
        return False


def _version_here(path: Path) -> list[int]:
    try:
        found = path.stat()
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns]


def _is_kept(name: str) -> bool:
    last = name.rpartition("/")[2]
    is_lock = last.startswith(".") and last.endswith(".lock")
    return bool(last) and last not in _OWN and not last.endswith((PARTIAL, f"{_DATABASE}-journal")) and not is_lock


def _is_record(name: str) -> bool:
    return f"/{RECORDS}/" in f"/{name}"


def _is_gone(holder: dict[str, Any]) -> bool:
    """Returns whether the one that holds a lock has been silent for long, or was a process of this machine that is no more."""
    if time.time() - holder.get("at_s", 0) > SILENT_S:
        return True
    if holder.get("host") != socket.gethostname() or os.name == "nt":
        return False
    try:
        os.kill(int(holder["process"]), 0)
    except ProcessLookupError:
        return True
    except (OSError, KeyError, ValueError):
        return False
    return False


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[bool]:
    try:
        with FileLock(lock, timeout=0):
            yield True
    except Timeout:
        yield False


@contextlib.contextmanager
def _reached(url: str) -> Iterator[None]:
    """Says what is wrong with a store in a sentence."""
    try:
        yield
    except (Unavailable, BadInput, WrongUse):
        raise
    except ImportError as error:
        raise Unavailable(f"{url}: a package for it is not installed.", 'Type: pip install "inkproof[cloud]"') from error
    except FileNotFoundError as error:
        raise BadInput(f"{url}: there is no such bucket.", "Make it, or check its name.") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        if isinstance(error, ValueError) and "rotocol" in str(error):
            raise WrongUse(f"{url}: there is no such kind of store.", "Write a folder, or s3://BUCKET/PREFIX.") from error
        if "Credentials" in type(error).__name__:
            hint = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what your store takes."
            raise Unavailable(f"{url}: no credentials were found.", hint) from error
        if isinstance(error, PermissionError):
            raise Unavailable(f"{url}: not allowed to read or write there.", "Check your credentials.") from error
        raise Unavailable(f"{url}: cannot be reached ({in_a_line(error)}).", _AGAIN) from error
