"""Runs the phone page until a person ends it or the run can go on: its address, its QR code, and what slow clients may cost."""

import asyncio
import contextlib
import errno
import os
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import qrcode
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from pipeline.companion.app import phone_page
from pipeline.companion.board import Board
from pipeline.companion.desk import Desk
from pipeline.companion.gate import ENTRY, Keys
from pipeline.core.errors import BadInput, Unavailable
from pipeline.settings import Experiment
from pipeline.store import Run, locked

PORT = 8017
# A connection on which no whole request has come for so long is cut, and so is one too many from one address, or of all.
REQUEST_S, MOST_OF_ONE, MOST_CONNECTIONS = 10.0, 256, 600
_MOST_HEADER_BYTES = 16_384
_EVERYWHERE = ("0.0.0.0", "::")
_TO_NOWHERE = ("192.0.2.1", 9)  # RFC 5737: an address of nobody; a datagram socket that connects to it sends nothing


@dataclass(frozen=True)
class Served:
    """How it stood when the server ended; `goes_on` says that the run can go on at once."""

    board: Board
    goes_on: bool


def serve(
    experiment: Experiment,
    run: Run,
    n_readers: int,
    then_run: bool,
    host: str,
    port: int | None,
    tell: Callable[[str], None],
    announce: Callable[[Sequence[str], str], None],
) -> Served:
    """Serves one run until Ctrl+C, or with `then_run` until every page is in; returns how it stands then.

    Args:
        host: the address to listen on and to show; "" for every address of this machine.
        port: the port, None for PORT or, where that is taken, any other.
        tell: hears one line of every photo.
        announce: hears at the beginning the addresses to show, best first, and the first one's QR code.

    Raises:
        Unavailable: the port is taken, or another process is working on the run.
        BadInput: no such address is this machine's.
    """
    with locked(run), _listening(host, port) as listening:
        port = int(listening.getsockname()[1])
        hosts = [host] if host and host not in _EVERYWHERE else local_addresses()
        keys, shown = Keys(), [f"http://{_bracketed(one)}:{port}" for one in hosts]
        names = {
            *map(_bracketed, hosts),
            "localhost",
            "127.0.0.1",
            "[::1]",
            socket.gethostname(),
            f"{socket.gethostname()}.local",
        }
        desk = Desk(experiment, run, n_readers, then_run, tell)
        app = phone_page(desk, keys, sorted(names), port, shown[0], tell)
        links = [f"{address}{ENTRY}{keys.token}" for address in shown]
        announce(links, drawn_code(links[0]))
        with contextlib.suppress(KeyboardInterrupt):  # the way to end it: the server has ended by then
            asyncio.run(_served(app, desk, listening))
    return Served(desk.board, desk.is_finished.is_set())


def local_addresses() -> list[str]:
    """Returns this machine's addresses (IPv4) that others on its networks can reach, the most likely first."""
    found: dict[str, None] = {}
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(_TO_NOWHERE)
        found[probe.getsockname()[0]] = None
    with contextlib.suppress(ImportError):  # its part for Linux asks for a module that a small build of Python may lack
        import psutil

        for entries in psutil.net_if_addrs().values():
            found |= {entry.address: None for entry in entries if entry.family == socket.AF_INET}
    return [address for address in found if not address.startswith(("127.", "169.254.", "0."))] or ["127.0.0.1"]


def drawn_code(text: str) -> str:
    """Returns a QR code drawn in blocks, two rows of modules a line, black on white whatever the terminal's colours."""
    code = qrcode.QRCode(border=2, error_correction=qrcode.ERROR_CORRECT_L)
    code.add_data(text)
    rows = code.get_matrix()
    rows += [[False] * len(rows[0])] * (len(rows) % 2)
    blocks = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}
    lines = ("".join(blocks[pair] for pair in zip(*two, strict=True)) for two in zip(rows[::2], rows[1::2], strict=True))
    return "\n".join(f"\x1b[30;107m{line}\x1b[0m" for line in lines)


async def _served(app: Any, desk: Desk, listening: socket.socket) -> None:
    config = uvicorn.Config(
        app,
        http=_PatientProtocol,
        ws="none",
        lifespan="on",
        loop="asyncio",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=_MOST_HEADER_BYTES,
    )
    server = uvicorn.Server(config)

    async def end() -> None:
        await desk.is_finished.wait()
        server.should_exit = True

    ending = asyncio.create_task(end())
    await server.serve(sockets=[listening])
    ending.cancel()


class _PatientProtocol(H11Protocol):
    """HTTP, with an end to patience: whoever holds a connection without asking for anything loses it."""

    _counts: Counter[str] = Counter()
    _deadline: asyncio.TimerHandle | None = None
    _address = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._address = (self.client or ("", 0))[0]
        self._counts[self._address] += 1
        if self._counts[self._address] > MOST_OF_ONE or self._counts.total() > MOST_CONNECTIONS:
            transport.abort()
        self._wait_or_not()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._counts[self._address] -= 1
        if self._deadline is not None:
            self._deadline.cancel()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait_or_not()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait_or_not()

    def _wait_or_not(self) -> None:
        """Begins to wait for a request, or stops waiting when one is being answered."""
        is_asked = self.cycle is not None and not self.cycle.response_complete
        if is_asked and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        elif not is_asked and self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_S, self.transport.abort)


@contextlib.contextmanager
def _listening(host: str, port: int | None) -> Any:
    """Gives a socket that listens; raises what a person can do something about."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    if os.name != "nt":  # there it means that others may listen too
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with found:
        try:
            _bind(found, host or _EVERYWHERE[0], port)
        except socket.gaierror:
            raise BadInput(f"--host {host}: there is no such name or address.", "Leave it out.") from None
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise BadInput(f"--host {host}: not an address of this machine.", "Leave it out.") from None
            raise Unavailable(f"--port {port}: it is taken, or not allowed.", "Choose another, or leave it out.") from None
        found.listen()  # who comes before the server is ready waits
        yield found


def _bind(listening: socket.socket, host: str, port: int | None) -> None:
    try:
        listening.bind((host, PORT if port is None else port))
    except OSError as error:
        if port is not None or error.errno != errno.EADDRINUSE:
            raise
        listening.bind((host, 0))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
