"""Nobody gets in without the token, nothing is taken from another site, and every refusal is a sentence."""

import re

import pytest
from phone_page import HOST, ORIGIN, a_client, a_desk, pages_to_photograph

from pipeline.companion import gate
from pipeline.companion.gate import Allowance, Keys

KEYS = Keys()
JSON = {"accept": "application/json"}


@pytest.fixture(scope="module")
def workspace(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    pages_to_photograph(tiny, folder)
    return folder


@pytest.fixture
def outside(workspace, monkeypatch):
    """A browser that has not come by the token."""
    with a_client(a_desk(workspace, monkeypatch), KEYS, enters=False) as client:
        yield client


@pytest.fixture
def inside(workspace, monkeypatch):
    with a_client(a_desk(workspace, monkeypatch), KEYS) as client:
        yield client


def test_the_token_gives_a_cookie_that_no_script_reads_and_an_address_without_it(outside):
    answer = outside.get(f"/enter/{KEYS.token}")
    cookie = answer.headers["set-cookie"]
    assert answer.status_code == 200 and 'content="0; url=/"' in answer.text and KEYS.token not in answer.text
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and KEYS.token not in cookie
    assert outside.get("/").status_code == 200 and KEYS.token not in outside.get("/").text


WRONG = ["", "x", KEYS.token[:-1], KEYS.token + "A", KEYS.token.swapcase(), "../" + KEYS.token, "é\u2603", "%00", "a" * 5000]


@pytest.mark.parametrize("token", WRONG, ids=range(len(WRONG)))
def test_no_other_token_gives_anything(outside, token):
    answer = outside.get(f"/enter/{token}")
    assert answer.status_code in (403, 404) and "set-cookie" not in answer.headers
    assert outside.get("/").status_code == 403


@pytest.mark.parametrize("address", ["/", "/board", "/news", "/join.svg", "/script.js", "/overlays/0/0", "/nothing", "/finish"])
def test_without_the_cookie_every_address_says_the_same(outside, address):
    said = {outside.get(address).text, outside.get("/board").text}
    assert len(said) == 1 and "Scan the QR code" in said.pop()


OTHERS = ["", "x", KEYS.token, KEYS.cookie[:-1], f"{KEYS.cookie}="]


@pytest.mark.parametrize("cookie", OTHERS, ids=range(len(OTHERS)))  # secrets make no names: each process has others
def test_another_cookie_is_none(outside, cookie):
    assert outside.get("/", headers={"cookie": f"inkproof-8017={cookie}"}).status_code == 403


def test_an_upload_without_the_cookie_is_refused_before_its_body_is_read(outside):
    def body():
        raise AssertionError("the body was asked for")
        yield b""

    answer = outside.post("/photos", content=b"x" * 1000, headers=JSON)
    assert answer.status_code == 403 and "Scan the QR code" in answer.json()["hint"]


@pytest.mark.parametrize("host", ["evil.example:8017", "phone.test", "phone.test:80", "phone.test:8017.evil.example", ""])
def test_it_answers_by_its_own_names_alone(inside, host):
    answer = inside.get("/", headers={"host": host})
    assert answer.status_code == 421 and "address that the terminal shows" in answer.text


FOREIGN = [
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": f"https://{HOST}"},
    {"origin": "http://phone.test:80"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "none"},
]


@pytest.mark.parametrize("address", ["/photos", "/finish"])
@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_nothing_is_taken_from_another_site(inside, headers, address):
    answer = inside.post(address, content=b"\xff\xd8\xff", headers=ORIGIN | JSON | headers)
    assert answer.status_code == 403 and "another site" in answer.json()["message"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"])
def test_there_is_nothing_else_to_do(inside, method):
    assert inside.request(method, "/photos").status_code == 405


PATHS = [
    "/../printouts/small/layout.json",
    "/..%2f..%2fetc%2fpasswd",
    "/overlays/..%2f..%2fphotos/0",
    "/overlays/x/../../board.html",
    "/overlays/%2e%2e/0",
    "/overlays/0/-1",
    "/style.css/../app.py",
    "/photos",
    "/page.html",
    "//etc/passwd",
]


@pytest.mark.parametrize("path", PATHS)
def test_no_path_of_a_request_leads_to_a_file(inside, path):
    answer = inside.get(path)
    assert answer.status_code == 404 and "nothing at this address" in answer.text


def test_every_answer_keeps_the_browser_from_anything_else(inside, outside):
    for answer in (inside.get("/"), inside.get("/script.js"), inside.get("/nothing"), outside.get("/")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff" and answer.headers["cache-control"] == "no-store"


def test_the_page_asks_for_nothing_elsewhere_and_runs_nothing_in_its_own_lines(inside):
    page = inside.get("/").text + inside.get("/style.css").text + inside.get("/script.js").text
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page)
    assert not re.search(r"<[^>]+ (on\w+|style)=", page)


def test_a_browser_reads_a_refusal_as_a_page_and_the_script_as_json(inside):
    assert inside.get("/nothing").text.startswith("<!doctype html>")
    assert inside.get("/nothing", headers=JSON).json() == {
        "message": "There is nothing at this address.",
        "hint": "Go back to the page with the pages of your printout.",
        "wait_s": 0,
    }


def test_of_many_requests_from_one_address_those_above_the_allowance_are_told_to_wait(workspace, monkeypatch):
    monkeypatch.setattr(gate, "REQUESTS", (5, 0.0))
    with a_client(a_desk(workspace, monkeypatch), KEYS) as client:
        answers = [client.get("/style.css") for _ in range(7)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
        assert answers[-1].headers["retry-after"] == "5" and "Wait a few seconds" in answers[-1].text


def test_wrong_tokens_are_soon_not_even_compared(workspace, monkeypatch):
    monkeypatch.setattr(gate, "WRONG_TOKENS", (5, 0.0))
    with a_client(a_desk(workspace, monkeypatch), KEYS, enters=False) as client:
        assert [client.get("/enter/wrong").status_code for _ in range(7)] == [403] * 5 + [429] * 2
        assert client.get(f"/enter/{KEYS.token}").status_code == 429


def test_an_allowance_comes_back_with_time_and_is_each_address_s_own():
    now = [0.0]
    allowance = Allowance(2, 0.5, lambda: now[0])
    assert [allowance.takes("a") for _ in range(3)] == [True, True, False] and allowance.takes("b")
    now[0] = 2.0
    assert allowance.takes("a") and not allowance.takes("a")
    now[0] = 1000.0
    assert [allowance.takes("a") for _ in range(3)] == [True, True, False]


def test_the_addresses_that_are_remembered_are_few():
    allowance = Allowance(1, 0.0, lambda: 0.0)
    for number in range(3000):
        allowance.takes(str(number))
    assert len(allowance._left) <= 1000


def test_a_fault_is_told_to_the_terminal_and_costs_one_request(workspace, monkeypatch):
    said = []
    desk = a_desk(workspace, monkeypatch)
    with a_client(desk, KEYS, tell=said.append) as client:
        monkeypatch.setattr(desk, "overlay", lambda *_: 1 / 0)
        answer = client.get("/overlays/x/0")
        assert answer.status_code == 500 and "safe" in answer.text and "Traceback" not in answer.text
        assert "ZeroDivisionError" in said[0] and client.get("/").status_code == 200
