"""The phone page in a browser as a phone's: sending, answers, reloads, another one that watches, light and dark, 360 px."""

import io
import re
import shutil
import time
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from phone_page import Served, pages_to_photograph
from PIL import Image

from pipeline.cli import main

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="needs a browser and its driver (apt-get install chromium chromium-driver)"
)
ANSWER_S = 2.0


@contextmanager
def a_browser(width=390, height=844, is_phone=True):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={width},{height}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    if is_phone:
        metrics = {"width": width, "height": height, "pixelRatio": 2, "touch": True}
        options.add_experimental_option("mobileEmulation", {"deviceMetrics": metrics})
    browser = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield browser
    finally:
        browser.quit()


def send(browser, photos, picks=False):
    """Gives photos to the camera's button, or to the other one."""
    browser.find_elements("css selector", "#take input")[picks].send_keys("\n".join(map(str, photos)))


def said(browser, within="board") -> str:
    return browser.find_element("id", within).text


def wait(browser, words, most_s=90.0, within="board") -> float:
    """Returns after how many seconds a part of the page says some words."""
    began_s = time.monotonic()
    while time.monotonic() - began_s < most_s:
        if re.search(words, said(browser, within)):
            return time.monotonic() - began_s
        time.sleep(0.03)
    raise AssertionError(said(browser, within))


def on_a_line(browser, latency=0, upload=-1):
    """Gives a browser a slow line (ms, bytes a second), or without arguments a fast one."""
    line = {"offline": False, "latency": latency, "downloadThroughput": -1, "uploadThroughput": upload}
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", line)


def in_dark(browser, is_dark=True):
    features = [{"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


# The contrast of every text with what lies behind it, as WCAG 2.2 counts it, and what is too small to be hit with a finger.
LOOKS = """
const part = (v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
const lit = (colour) => { const [r, g, b] = colour.match(/[\\d.]+/g).map(part); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const behind = (one) => {
  for (; one; one = one.parentElement) {
    const colour = getComputedStyle(one).backgroundColor;
    if (!/, 0\\)$|transparent/.test(colour)) return colour;
  }
  return "rgb(255, 255, 255)";
};
const page = document.documentElement;
const found = { pale: [], small: [], nameless: [], overflow: page.scrollWidth - page.clientWidth };
for (const one of document.querySelectorAll("body *:not(script):not(noscript)")) {
  const box = one.getBoundingClientRect(), told = one.outerHTML.slice(0, 80);
  if (box.width > 2 && [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())) {
    const [a, b] = [lit(getComputedStyle(one).color), lit(behind(one))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.pale.push(`${ratio.toFixed(2)} ${told}`);
  }
  const isHit = one.matches("label, button, a.button, summary, .cells a") && box.width;
  if (isHit && Math.min(box.width, box.height) < 44) found.small.push(told);
  if (one.matches("img:not([alt]), input:not(label input), progress:not([aria-label])")) found.nameless.push(told);
}
return found;
"""


# A file that is chosen as soon as the page has a place for it, so before the page's own script hears of choices.
CHOSEN_EARLY = """
new MutationObserver((_, observer) => {
  const input = document.querySelector("#take input");
  if (!input) return;
  observer.disconnect();
  const files = new DataTransfer();
  files.items.add(new File(["not a photo"], "early.txt"));
  input.files = files.files;
}).observe(document, { childList: true, subtree: true });
"""


@pytest.fixture(scope="module")
def taken(tiny, tmp_path_factory):
    return pages_to_photograph(tiny, tmp_path_factory.mktemp("served"))


def test_a_phone_sends_a_photo_and_reads_the_answer_and_a_desktop_sees_it_too(taken):
    """The short one: also that a reload in the middle of sending loses nothing, that it can be read, and that it is silent."""
    with Served(taken[0].parents[1]) as served, a_browser() as phone:
        phone.execute_cdp_cmd("Network.enable", {})
        early = phone.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": CHOSEN_EARLY})
        phone.get(served.link)
        wait(phone, "0\nof 2 pages|0 of 2 pages")
        assert phone.current_url == f"{served.origin}/"
        wait(phone, "early.txt: This is not a photo", within="sending")
        phone.find_element("css selector", "#sending button").click()
        phone.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", early)
        phone.get_log("browser")  # it tells of the refusal
        send(phone, taken[:1])
        wait(phone, "Page 1: good")
        with a_browser(1300, 900, is_phone=False) as desktop:
            desktop.get(served.link)
            wait(desktop, "Page 1: good")
            # so slow that the page is loaded again before half of it is there
            on_a_line(phone, latency=50, upload=60_000)
            send(phone, taken[1:], picks=True)
            time.sleep(1)
            phone.refresh()
            assert "IMG_2.jpg" in phone.find_element("id", "sending").text
            on_a_line(phone)
            wait(desktop, "All pages are in")
            wait(phone, "All pages are in")
            assert phone.find_element("id", "sending").text == ""
            for browser in (phone, desktop):
                for is_dark in (False, True):
                    in_dark(browser, is_dark)
                    assert browser.execute_script(LOOKS) == {"pale": [], "small": [], "nameless": [], "overflow": 0}
                assert browser.get_log("browser") == []
                asked = browser.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")
                assert asked and all(name.startswith(served.origin) for name in asked)


@pytest.mark.slow
def test_a_narrow_phone_is_told_what_was_refused_and_that_the_command_has_ended(taken, tmp_path):
    workspace = pages_to_photograph_again(taken, tmp_path)
    drawing = tmp_path / "drawing.svg"
    drawing.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>", encoding="utf-8")
    with Served(workspace) as served, a_browser(360, 640) as phone:
        phone.get(f"{served.link}x")
        assert "Scan the QR code" in phone.find_element("tag name", "body").text
        phone.get(served.link)
        wait(phone, "of 2 pages")
        send(phone, [drawing])
        time.sleep(1)
        sending = phone.find_element("id", "sending")
        assert "This is not a photo" in sending.text
        assert phone.execute_script(LOOKS) == {"pale": [], "small": [], "nameless": [], "overflow": 0}
        sending.find_element("tag name", "button").click()
        assert sending.text == ""
        served.end()
        time.sleep(3)
        send(phone, taken[:1])
        time.sleep(1)
        assert "no connection" in sending.text.lower() or "waiting" in sending.text
        assert phone.find_element("id", "line").text or "has ended" in said(phone)


def pages_to_photograph_again(taken, tmp_path) -> Path:
    workspace = tmp_path / "again"
    shutil.copytree(taken[0].parents[1] / "printouts", workspace / "printouts")
    shutil.copy(taken[0].parents[1] / "small.toml", workspace)
    return workspace


EIGHTEEN = """
name = "eighteen"
seed = 5
[dataset]
n_images = 40
[selection]
n_images = 18
cases = ["average"]
[[attacks]]
name = "fgsm"
epsilons_8bit = [4, 8, 16]
[layout]
pairs_per_page = 3
[photograph]
profile = "office-phone"
[thresholds]
n_images = 1
transforms = ["blur"]
[explain]
n_images = 1
methods = ["gradcam"]
"""


@pytest.mark.slow
def test_eighteen_pages_are_in_without_touching_the_terminal(tmp_path, monkeypatch):
    """Photos of twelve megapixels, two of them bad at first, one sent twice; an answer takes two seconds at most.

    They are seconds of the processor, for others may use the machine: where nobody does, an answer is there as soon.
    """
    monkeypatch.chdir(tmp_path)
    Path("eighteen.toml").write_text(EIGHTEEN, encoding="utf-8")
    for stage in ("select", "generate", "layout", "photograph"):
        assert main([stage, "eighteen.toml", "--set", "photograph.by=simulator"]) == 0
    Path("captures/eighteen/photos").rename("taken")
    shutil.rmtree("captures")
    photos = sorted(Path("taken").resolve().glob("*page*.jpg"))
    assert len(photos) == 18
    bad = {
        4: changed(photos[4], lambda pixels: cv2.GaussianBlur(pixels, (0, 0), 12)),
        10: changed(photos[10], lambda pixels: pixels * 0.05),
    }
    took_s = []
    with Served(tmp_path, "--then-run", name="eighteen") as served, a_browser() as phone:
        phone.get(served.link)
        for number, photo in enumerate(photos):
            began_s = used_s(served)
            if number in bad:
                send(phone, [bad[number]])
                wait(phone, "Too blurred" if number == 4 else "Page 11: usable", 60)
                took_s.append(used_s(served) - began_s)
                began_s = used_s(served)
            send(phone, [photo])
            wait(phone, rf"The last photo\n\W*Page {number + 1}: good", 60)
            took_s.append(used_s(served) - began_s)
            if number == 7:
                send(phone, [photo])
                time.sleep(1)
                assert "kept once" in phone.find_element("id", "sending").text
        wait(phone, "All pages are in")
        assert "The run goes on at the computer" in said(phone)
        wait(phone, "You can close this page")
        assert served.process.wait(600) == 0 and "18 of 18 pages. The run goes on." in served.said
    assert (tmp_path / "reports/eighteen/report.pdf").is_file()
    assert max(took_s[1:]) <= ANSWER_S, took_s  # with the first, processes were started


def used_s(served) -> float:
    """Returns the seconds of the processor that the server and all that it started have used."""
    import psutil

    process = psutil.Process(served.process.pid)
    return sum(sum(one.cpu_times()[:2]) for one in [process, *process.children(recursive=True)])


def changed(photo: Path, change) -> Path:
    """Writes a photo with other pixels and its own EXIF, and returns where."""
    content, path = io.BytesIO(), photo.parent / f"bad-{photo.name}"
    with Image.open(photo) as image:
        pixels = np.clip(change(np.asarray(image).astype(np.float32)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(content, "JPEG", quality=90, exif=image.info["exif"])
    path.write_bytes(content.getvalue())
    return path
