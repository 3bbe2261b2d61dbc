"""Who may ask for what: the token, the cookie, the address asked for, where a request comes from, and how often."""

import hmac
import json
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.companion.pages import page
from pipeline.companion.refusals import Refusal, no_entry, too_many
from pipeline.images.formats import fault

# Requests, and wrong tokens, from one address: so many at once, and so many a second.
REQUESTS, WRONG_TOKENS = (400, 40.0), (20, 0.2)
_MOST_ADDRESSES = 1000
ENTRY = "/enter/"
# What anyone may have: it says nothing of the run, and a refusal looks like the rest.
_OPEN = ("/style.css", "/icon.svg")
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Allowance:
    """So many requests at once from each address, and so many more a second; the clock is in seconds."""

    def __init__(self, at_once: int, a_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._at_once, self._a_second, self._clock = at_once, a_second, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def takes(self, address: str) -> bool:
        """Returns whether one more is allowed, and counts it."""
        left = self._left_of(address)
        self._left.pop(address, None)
        self._left[address] = (left - 1 if left >= 1 else left, self._clock())
        if len(self._left) > _MOST_ADDRESSES:
            self._left.popitem(last=False)
        return left >= 1

    def has_left(self, address: str) -> bool:
        """Returns whether one more would be allowed."""
        return self._left_of(address) >= 1

    def _left_of(self, address: str) -> float:
        left, since = self._left.get(address, (float(self._at_once), self._clock()))
        return min(self._at_once, left + (self._clock() - since) * self._a_second)


@dataclass
class Keys:
    """The secrets of one server: `token` stands in the address that is shown, `cookie` is what a browser gets for it."""

    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    cookie: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)


class Gate:
    """Lets a request through to the application, or refuses it with a sentence: HTML for people, JSON for the script."""

    def __init__(
        self, app: ASGIApp, keys: Keys, hosts: Collection[str], port: int, tell: Callable[[str], None] = lambda _: None
    ) -> None:
        """`hosts` are the names and addresses that this machine is asked for by, `tell` hears of faults."""
        self._app, self._keys, self._tell = app, keys, tell
        self._hosts = {f"{host}:{port}".lower() for host in hosts} | ({host.lower() for host in hosts} if port == 80 else set())
        self._cookie_name = f"inkproof-{port}"  # browsers send one machine's cookies to all of its ports
        self._requests, self._wrong_tokens = Allowance(*REQUESTS), Allowance(*WRONG_TOKENS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request; every answer has the headers that keep a browser from doing anything else with it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def send_with_headers(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                present = {name for name, _ in message["headers"]}
                more = _HEADERS | ({} if b"cache-control" in present else {"cache-control": "no-store"})
                message["headers"] = [*message["headers"], *((k.encode(), v.encode()) for k, v in more.items())]
            await send(message)

        headers = Headers(scope=scope)
        try:
            if (entered := self._entered(scope, headers)) is not None:
                await entered(scope, receive, send_with_headers)
            else:
                await self._app(scope, receive, send_with_headers)
        except Refusal as refusal:
            await _refused(refusal, headers)(scope, receive, send_with_headers)
        except ClientDisconnect:
            pass
        except Exception as error:  # whatever it is, it must not cost the others
            self._tell(f"A fault of this program: {fault(error)}. Please report it.")
            if not has_begun:
                sorry = Refusal(500, "The computer met a fault of this program.", "What arrived is safe. Try again.")
                await _refused(sorry, headers)(scope, receive, send_with_headers)

    def _entered(self, scope: Scope, headers: Headers) -> Response | None:
        """Returns what someone gets who comes by the token, None for someone who was here before; refuses everybody else."""
        address, path = (scope.get("client") or ("", 0))[0], scope["path"]
        if not self._requests.takes(address):
            raise too_many()
        host = headers.get("host", "").lower()
        if host not in self._hosts:
            raise Refusal(421, "This server does not answer by that name.", "Use the address that the terminal shows.")
        if scope["method"] not in ("GET", "HEAD", "POST"):
            raise Refusal(405, "That is nothing that can be done here.", "Photos are sent from the page.")
        if scope["method"] == "POST" and not _is_from_this_page(headers, host):
            raise Refusal(
                403, "Photos are taken from this page alone, not from another site.", "Open the page, and send them there."
            )
        if path.startswith(ENTRY) and scope["method"] != "POST":
            return self._enters(path.removeprefix(ENTRY), address)
        if path not in _OPEN and not self._has_cookie(headers):
            raise no_entry()
        return None

    def _enters(self, token: str, address: str) -> Response:
        if not self._wrong_tokens.has_left(address):
            raise too_many()
        if not _is_same(token, self._keys.token):
            self._wrong_tokens.takes(address)
            raise no_entry()
        # A page that leads on, not a redirect: after a link on another site no browser would send the cookie along.
        response = Response(page("enter.html"), media_type="text/html")
        response.set_cookie(self._cookie_name, self._keys.cookie, path="/", httponly=True, samesite="strict")
        return response

    def _has_cookie(self, headers: Headers) -> bool:
        parts = [part.strip().partition("=") for part in headers.get("cookie", "").split(";")]
        return any(name == self._cookie_name and _is_same(value, self._keys.cookie) for name, _, value in parts)


def _is_from_this_page(headers: Headers, host: str) -> bool:
    is_of_site = headers.get("sec-fetch-site", "same-origin") == "same-origin"
    return is_of_site and headers.get("origin", "").lower() == f"http://{host}"


def _is_same(said: str, secret: str) -> bool:
    """Compares in a time that tells nothing of the secret."""
    return hmac.compare_digest(said.encode("utf-8", "replace"), secret.encode())


def _refused(refusal: Refusal, headers: Headers) -> Response:
    wait = {"retry-after": str(refusal.wait_s)} if refusal.wait_s else {}
    if "application/json" in headers.get("accept", ""):
        told = json.dumps({"message": refusal.message, "hint": refusal.hint, "wait_s": refusal.wait_s})
        return Response(told, refusal.status, wait, "application/json")
    return Response(page("refusal.html", refusal=refusal), refusal.status, wait, "text/html")
