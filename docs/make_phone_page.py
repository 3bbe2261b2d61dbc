"""Makes phone-page.png: the phone page after some photos, as a phone shows it, its top and its grid side by side.

    python docs/make_phone_page.py EXPERIMENT.toml PHOTO…

The experiment's pages are laid out in the current folder and no photos lie there yet; needs Chromium, its driver and Selenium.
"""

import re
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path

from PIL import Image
from selenium import webdriver

WIDTH, HEIGHT, GAP_PX, COLOURS = 390, 780, 40, 128


def main(experiment: str, photos: list[str]) -> None:
    command = [sys.executable, "-m", "pipeline", "serve", experiment, "--host", "127.0.0.1"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    link = next(found[0] for line in server.stderr if (found := re.search(r"http://\S+", line)))
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars"):
        options.add_argument(argument)
    metrics = {"width": WIDTH, "height": HEIGHT, "pixelRatio": 2, "touch": True}
    options.add_experimental_option("mobileEmulation", {"deviceMetrics": metrics})
    browser = webdriver.Chrome(options=options)
    try:
        browser.get(link)
        for photo in photos:
            browser.find_element("css selector", "#take input").send_keys(str(Path(photo).resolve()))
            time.sleep(1)
            while "being read" in browser.find_element("id", "board").text:
                time.sleep(0.1)
        time.sleep(1)
        shots = [browser.get_screenshot_as_png()]
        browser.execute_script("document.getElementById('pages-title').scrollIntoView()")
        time.sleep(0.5)
        shots.append(browser.get_screenshot_as_png())
    finally:
        browser.quit()
        server.terminate()
    pictures = [Image.open(BytesIO(shot)).convert("RGB") for shot in shots]
    width, height = pictures[0].size
    both = Image.new("RGB", (2 * width + 3 * GAP_PX, height + 2 * GAP_PX), "#c9d0d8")
    for place, picture in enumerate(pictures):
        both.paste(picture, (GAP_PX + place * (width + GAP_PX), GAP_PX))
    both.quantize(COLOURS).save(Path(__file__).with_name("phone-page.png"), optimize=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
