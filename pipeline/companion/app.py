"""The application: which address gives what."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from io import BytesIO

import qrcode
from qrcode.image.svg import SvgPathImage
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from pipeline.companion.desk import Desk
from pipeline.companion.gate import ENTRY, Allowance, Gate, Keys
from pipeline.companion.pages import page, part
from pipeline.companion.refusals import nothing_here, too_busy, too_many

MOST_UPLOADS, MOST_WATCHERS = 40, 60
# From one address: so many at once, and so many a second.
UPLOADS = (120, 2.0)
HEARTBEAT_S = 15.0
# Answers on the page, the newest; what counts of the others stands in the grid.
SHOWN = 40
_KINDS = {"style.css": "text/css", "script.js": "text/javascript", "icon.svg": "image/svg+xml"}
_FOR_A_DAY = {"cache-control": "private, max-age=86400, immutable"}


class PhonePage:
    """What a browser can ask for: the page, its parts, overlays, news as they come; and what it can send: photos."""

    def __init__(self, desk: Desk, address: str, keys: Keys) -> None:
        """`address` is how other phones come here, without the token."""
        self._desk, self._n_uploads, self._n_watchers = desk, 0, 0
        self._link = f"{address}{ENTRY}{keys.token}"
        self._uploads = Allowance(*UPLOADS)

    def routes(self) -> list[Route]:
        """Returns the addresses and what they give."""
        return [
            Route("/", self._page),
            Route("/board", self._board),
            Route("/news", self._news),
            Route("/photos", self._take, methods=["POST"]),
            Route("/finish", self._finish, methods=["POST"]),
            Route("/overlays/{answer}/{place:int}", self._overlay),
            Route("/join.svg", self._join),
            *(Route(f"/{name}", _given(name, kind)) for name, kind in _KINDS.items()),
        ]

    async def _page(self, request: Request) -> Response:
        return Response(page("page.html", board_html=self._html(), **self._given()), media_type="text/html")

    async def _board(self, request: Request) -> Response:
        return Response(self._html(), media_type="text/html")

    async def _take(self, request: Request) -> Response:
        if not self._uploads.takes(request.client.host if request.client else ""):
            raise too_many()
        if self._n_uploads >= MOST_UPLOADS:
            raise too_busy()
        self._n_uploads += 1
        try:
            said = request.headers.get("content-length", "")
            answer, is_new = await self._desk.take(request.stream(), int(said) if said.isdecimal() else None)
        finally:
            self._n_uploads -= 1
        return JSONResponse({"photo": answer, "is_new": is_new}, 201 if is_new else 200)

    async def _finish(self, request: Request) -> Response:
        self._desk.finish()
        return JSONResponse({"message": "The run goes on at the computer."})

    async def _overlay(self, request: Request) -> Response:
        path = self._desk.overlay(request.path_params["answer"], request.path_params["place"])
        if path is None or not await asyncio.to_thread(path.is_file):
            raise nothing_here()
        return FileResponse(path, media_type="image/jpeg", headers=_FOR_A_DAY)

    async def _news(self, request: Request) -> Response:
        """Sends the board whenever it changes, and a word for the line's sake when it does not."""
        if self._n_watchers >= MOST_WATCHERS:
            raise too_busy()
        return StreamingResponse(self._boards(), media_type="text/event-stream")

    async def _boards(self) -> AsyncIterator[str]:
        self._n_watchers += 1
        try:
            seen = -1
            yield "retry: 2000\n\n"
            while True:
                now = await self._desk.changed(seen, HEARTBEAT_S)
                if now != seen:
                    yield _event("board", self._html())
                    seen = now
                else:
                    yield ": still here\n\n"
                if self._desk.is_closing:
                    yield _event("end", "")
                    return
        finally:
            self._n_watchers -= 1

    async def _join(self, request: Request) -> Response:
        drawn = BytesIO()
        qrcode.make(self._link, image_factory=SvgPathImage, border=2).save(drawn)
        return Response(drawn.getvalue(), media_type="image/svg+xml")

    def _html(self) -> str:
        return page("board.html", **self._given())

    def _given(self) -> dict[str, object]:
        desk, words = self._desk, self._desk.experiment.words
        return {"board": desk.board, "then_run": desk.then_run, "is_over": desk.is_closing, "words": words, "shown": SHOWN}


def phone_page(
    desk: Desk, keys: Keys, hosts: list[str], port: int, address: str, tell: Callable[[str], None] = lambda _: None
) -> Starlette:
    """Returns the application of one run.

    Args: `hosts` the names and addresses of this machine; `address` how phones come here; `tell` hears of faults.
    """

    @asynccontextmanager
    async def opened(_: Starlette) -> AsyncIterator[None]:
        await desk.open()
        try:
            yield
        finally:
            await desk.close()

    app = Starlette(routes=PhonePage(desk, address, keys).routes(), lifespan=opened)

    async def nothing(request: Request, error: Exception) -> Response:
        raise nothing_here()

    app.add_exception_handler(404, nothing)
    app.add_exception_handler(405, nothing)
    app.add_middleware(Gate, keys=keys, hosts=hosts, port=port, tell=tell)
    return app


def _given(name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def give(_: Request) -> Response:
        return Response(part(name), media_type=kind)

    return give


def _event(name: str, text: str) -> str:
    lines = "\n".join(f"data: {line}" for line in text.splitlines() or [""])
    return f"event: {name}\n{lines}\n\n"
