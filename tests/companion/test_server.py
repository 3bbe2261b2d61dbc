"""The command in a process of its own: many at once, slow ones, cut ones and hostile ones; nothing is lost, nothing gets in."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import hostile_files
import numpy as np
import pytest
from phone_page import Served, pages_to_photograph

from pipeline.cli import main
from pipeline.companion import server
from pipeline.companion.server import drawn_code, local_addresses

MB, REQUEST_S = 10**6, 2.0


@pytest.fixture(scope="module")
def workspace(tiny, tmp_path_factory):
    return pages_to_photograph(tiny, tmp_path_factory.mktemp("served"))[0].parents[1]


@pytest.fixture(scope="module")
def served(workspace):
    """One server for all tests that leave it running; it is less patient than others, so that no test waits long."""
    with Served(workspace, first=f"from pipeline.companion import server; server.REQUEST_S = {REQUEST_S}") as found:
        yield found


@pytest.fixture(scope="module")
def cookie(served):
    return ask(served, "GET", served.link.removeprefix(served.origin))[1]["set-cookie"].split(";")[0]


def ask(served, method, path, body=None, **headers):
    """Returns (status, headers in lower case, body) of one request on a connection of its own."""
    line = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    try:
        line.request(method, path, body, headers)
        answer = line.getresponse()
        return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()
    finally:
        line.close()


def send(served, cookie, content):
    status, _, body = ask(served, "POST", "/photos", content, Cookie=cookie, Origin=served.origin, Accept="application/json")
    return status, json.loads(body)


def variant(workspace: Path, number: int) -> bytes:
    """Returns a photo of page 1 or 2 as another file each time: what stands after a JPEG's end changes no pixel."""
    return (workspace / "taken" / f"IMG_{number % 2 + 1}.jpg").read_bytes() + f"#{number}".encode()


def a_small_picture(number: int) -> bytes:
    """Returns a photo of nothing, which is read in no time."""
    return bytes(cv2.imencode(".jpg", np.full((48, 64, 3), 10 * number, np.uint8))[1])


def lying(workspace: Path) -> list[Path]:
    return sorted((workspace / "captures/small/photos").iterdir())


def all_read(served, cookie, most_s=60):
    began_s = time.monotonic()
    while time.monotonic() - began_s < most_s:
        page = ask(served, "GET", "/board", Cookie=cookie)[2].decode()
        if "being read" not in page:
            return page
        time.sleep(0.1)
    raise AssertionError(page)


def test_twenty_uploads_at_once_all_land_and_none_waits_for_the_readers(served, cookie, workspace):
    before = len(lying(workspace))
    photos = [variant(workspace, number) for number in range(2)] + [a_small_picture(number) for number in range(18)]
    with ThreadPoolExecutor(20) as pool:
        sent = list(pool.map(lambda content: send(served, cookie, content), photos))
    assert [status for status, _ in sent] == [201] * 20 and len({told["photo"] for _, told in sent}) == 20
    landed = lying(workspace)
    assert len(landed) == before + 20 and {path.read_bytes() for path in landed} >= set(photos)
    assert "All pages are in" in all_read(served, cookie)


def test_two_hundred_small_requests_at_once_are_all_answered(served, cookie):
    with ThreadPoolExecutor(200) as pool:
        answers = list(pool.map(lambda _: ask(served, "GET", "/board", Cookie=cookie)[0], range(200)))
    assert answers == [200] * 200


def test_slow_clients_lose_their_connection_and_nobody_else_waits(served, cookie):
    lines = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(150)]
    try:
        for line in lines:
            line.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
        began_s = time.monotonic()
        assert ask(served, "GET", "/board", Cookie=cookie)[0] == 200 and time.monotonic() - began_s < 2
        while time.monotonic() - began_s < REQUEST_S + 5:
            for line in lines[:3]:
                try:
                    line.sendall(b"x")
                except OSError:
                    return
            time.sleep(0.25)
        raise AssertionError("the slow clients are still connected")
    finally:
        for line in lines:
            line.close()


def test_one_address_has_so_many_connections_and_no_more(served, cookie):
    lines = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(server.MOST_OF_ONE + 20)]
    lines[-1].settimeout(5)
    try:
        with pytest.raises(ConnectionError):
            if lines[-1].recv(1) == b"":
                raise ConnectionResetError
    finally:
        for line in lines:
            line.close()
    time.sleep(0.3)
    assert ask(served, "GET", "/board", Cookie=cookie)[0] == 200


def test_a_cut_upload_leaves_nothing(served, cookie, workspace):
    before, content = lying(workspace), variant(workspace, 1000)
    head = f"POST /photos HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nOrigin: {served.origin}\r\nCookie: {cookie}\r\n"
    for abort in (False, True):
        with socket.create_connection(("127.0.0.1", served.port)) as line:
            line.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content[:-1000])
            time.sleep(0.2)
            if abort:
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    time.sleep(0.5)
    assert lying(workspace) == before
    assert send(served, cookie, content)[0] == 201


def test_a_photo_of_sixty_megabytes_is_taken_and_one_above_the_limit_gets_a_sentence(served, cookie, workspace):
    large = variant(workspace, 2000)
    large += bytes(60 * MB - len(large))
    assert send(served, cookie, large)[0] == 201
    assert any(path.stat().st_size == 60 * MB for path in lying(workspace))
    before = lying(workspace)
    line = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    line.putrequest("POST", "/photos")
    for name, value in {
        "Cookie": cookie,
        "Origin": served.origin,
        "Accept": "application/json",
        "Content-Length": 65 * MB,
    }.items():
        line.putheader(name, str(value))
    line.endheaders()
    answer = line.getresponse()  # before anything of it was sent
    told = json.loads(answer.read())
    assert answer.status == 413 and told["message"] == "The photo is larger than 64 MB, the most that is taken here."
    assert lying(workspace) == before


def test_hostile_photos_cost_themselves_alone_and_memory_stays_below_a_gigabyte(served, cookie, workspace, tmp_path):
    most_bytes = 0
    sent = []
    for file in hostile_files.hostile_files(tmp_path / "hostile", 60, 3):
        if not file.is_file() or file.stat().st_size > 5 * MB:
            continue
        status, told = send(served, cookie, file.read_bytes())
        sent.append((status, told))
        most_bytes = max(most_bytes, memory_of(served))
    assert {status for status, _ in sent} <= {200, 201, 400, 415}
    assert all(told["message"].endswith(".") for status, told in sent if status >= 400)
    began_s = time.monotonic()
    while "being read" in ask(served, "GET", "/board", Cookie=cookie)[2].decode() and time.monotonic() - began_s < 120:
        most_bytes = max(most_bytes, memory_of(served))
        time.sleep(0.1)
    assert 0 < most_bytes < 2**30, most_bytes / 2**20
    photo = variant(workspace, 3000)
    assert send(served, cookie, photo)[0] == 201 and "All pages are in" in all_read(served, cookie)


def memory_of(served) -> int:
    """Returns the memory of the server and of all that it started, what they share counted once (on Linux)."""
    import psutil

    total = 0
    process = psutil.Process(served.process.pid)
    for one in [process, *process.children(recursive=True)]:
        try:
            total += getattr(one.memory_full_info(), "pss", one.memory_info().rss)
        except psutil.Error:
            continue
    return total


@pytest.mark.parametrize(
    "content",
    [
        b"\0" * 100,
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: " + b"a" * 100_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01",
    ],
    ids=["zeros", "no HTTP", "an endless head", "TLS"],
)
def test_what_is_no_request_is_not_answered_as_one(served, cookie, content):
    with socket.create_connection(("127.0.0.1", served.port), timeout=15) as line:
        line.sendall(content)
        with contextlib.suppress(ConnectionError):
            answer = line.recv(100)
            assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 421", b"HTTP/1.1 431"))
    assert ask(served, "GET", "/board", Cookie=cookie)[0] == 200


def test_whoever_watches_hears_at_once_of_a_photo_of_somebody_else(served, cookie, workspace):
    all_read(served, cookie)
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as line:
        line.sendall(f"GET /news HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nCookie: {cookie}\r\n\r\n".encode())
        heard = b""
        while b"event: board" not in heard:
            heard += line.recv(65536)
        _, told = send(served, cookie, variant(workspace, 4000))
        heard, began_s = b"", time.monotonic()
        while f"photo-{told['photo']}".encode() not in heard and time.monotonic() - began_s < 15:
            heard += line.recv(65536)
        assert f"photo-{told['photo']}".encode() in heard


def test_it_is_killed_in_the_middle_of_an_upload_and_nothing_that_arrived_is_lost(tiny, tmp_path):
    import psutil

    workspace = pages_to_photograph(tiny, tmp_path / "killed")[0].parents[1]
    with Served(workspace) as served:
        cookie = ask(served, "GET", served.link.removeprefix(served.origin))[1]["set-cookie"].split(";")[0]
        first = variant(workspace, 0)
        assert send(served, cookie, first)[0] == 201
        head = f"POST /photos HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nOrigin: {served.origin}\r\nCookie: {cookie}\r\n"
        with socket.create_connection(("127.0.0.1", served.port)) as line:
            line.sendall(f"{head}Content-Length: 9000000\r\n\r\n".encode() + variant(workspace, 1)[:100_000])
            time.sleep(0.3)
            children = psutil.Process(served.process.pid).children(recursive=True)
            served.end(signal.SIGKILL)
    assert any(path.name.endswith(".partial") for path in lying(workspace))
    began_s = time.monotonic()
    while any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children):
        assert time.monotonic() - began_s < 20, children
        time.sleep(0.05)
    with Served(workspace) as again:
        cookie = ask(again, "GET", again.link.removeprefix(again.origin))[1]["set-cookie"].split(";")[0]
        assert "Page 1: good" in all_read(again, cookie)
        assert [path.read_bytes() for path in lying(workspace)] == [first]
        assert again.end() == 5 and "1 of 2 pages; missing 2. Go on at any time with: inkproof serve" in again.said


def test_ctrl_c_while_it_still_starts_ends_it_without_a_word_too_many(tiny, tmp_path):
    started = pages_to_photograph(tiny, tmp_path / "started")[0].parents[1]
    with Served(started) as served:
        time.sleep(0.3)
        assert served.end() == 5 and "Traceback" not in served.said and "missing 1, 2" in served.said


def test_a_second_server_of_the_run_is_refused(served, workspace, monkeypatch, capsys):
    monkeypatch.chdir(workspace)
    assert main(["serve", "small.toml"]) == 4
    assert "Another inkproof is working on the run" in capsys.readouterr().err


@pytest.mark.slow
def test_when_every_page_is_in_the_run_goes_on_to_its_report(tiny, tmp_path):
    workspace = tmp_path / "goes-on"
    shutil.copytree(tiny, workspace, symlinks=True)
    shutil.rmtree(workspace / "captures/small/photos")
    pages_to_photograph(tiny, tmp_path / "other")
    shutil.copytree(tmp_path / "other/taken", workspace / "taken")
    with Served(workspace, "--then-run") as served:
        cookie = ask(served, "GET", served.link.removeprefix(served.origin))[1]["set-cookie"].split(";")[0]
        for number in (0, 1):
            assert send(served, cookie, variant(workspace, number))[0] == 201
        assert served.process.wait(120) == 0
        assert "2 of 2 pages. The run goes on." in served.said and "Report: " in served.said


REFUSED = {
    "a port that is none": (["--port", "70000"], 2, "expected 1 to 65535"),
    "an address of another machine": (["--host", "192.0.2.77"], 3, "not an address of this machine"),
    "a name that does not exist": (["--host", "no-such-name.invalid"], 3, "no such name"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_wrong_with_the_command_is_said(tiny, tmp_path, monkeypatch, capsys, what):
    options, code, words = REFUSED[what]
    pages_to_photograph(tiny, tmp_path / "w")
    monkeypatch.chdir(tmp_path / "w")
    assert main(["serve", "small.toml", *options]) == code
    assert words in capsys.readouterr().err


def test_a_taken_port_is_said_and_without_one_another_is_found(tiny, tmp_path, monkeypatch, capsys):
    pages_to_photograph(tiny, tmp_path / "w")
    monkeypatch.chdir(tmp_path / "w")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["serve", "small.toml", "--host", "127.0.0.1", "--port", str(port)]) == 4
        assert f"--port {port}: it is taken" in capsys.readouterr().err
        monkeypatch.setattr(server, "PORT", port)
        with server._listening("127.0.0.1", None) as found:
            assert found.getsockname()[1] not in (0, port)


def test_pages_that_are_not_laid_out_cannot_be_photographed(small_file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["serve", "small.toml"]) == 6
    assert "is missing" in capsys.readouterr().err


def test_the_code_in_the_terminal_is_read_as_the_address():
    link = "http://192.168.178.20:8017/enter/" + "x" * 32
    lines = [line.removeprefix("\x1b[30;107m").removesuffix("\x1b[0m") for line in drawn_code(link).splitlines()]
    halves = {" ": (255, 255), "▀": (0, 255), "▄": (255, 0), "█": (0, 0)}
    rows = [[halves[char][half] for char in line] for line in lines for half in (0, 1)]
    picture = np.kron(np.array(rows, np.uint8), np.ones((8, 8), np.uint8))
    assert (
        cv2.QRCodeDetector().detectAndDecode(cv2.copyMakeBorder(picture, 32, 32, 32, 32, cv2.BORDER_CONSTANT, value=255))[0]
        == link
    )


def test_an_address_that_others_can_reach_comes_first():
    found = local_addresses()
    assert found and all(socket.inet_aton(address) for address in found)
    assert found == ["127.0.0.1"] or not any(address.startswith("127.") for address in found)


def test_no_other_command_opens_what_the_page_needs(tmp_path):
    code = (
        "import sys; from pipeline.cli import main; main(['list', 'attacks'])\n"
        "print(sorted({'starlette', 'uvicorn', 'anyio', 'asyncio', 'qrcode'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert ran.stdout.splitlines()[-1] == "[]"
