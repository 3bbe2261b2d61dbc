"""The page that shows a printout on a screen: one picture pixel is one screen pixel, whatever the system's scaling."""

from html import escape

from pipeline.physical.printing.document import screen_page_name
from pipeline.records import Printout

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>inkproof {run}</title>
<style>
  html, body {{ margin: 0; background: #fff; height: 100%; overflow: hidden; }}
  img {{ display: block; position: absolute; image-rendering: pixelated; }}
  #note {{ position: fixed; inset: auto 0 0 0; padding: 6px 12px; font: 14px sans-serif; background: #fff3cd; z-index: 1; }}
  #help {{ position: fixed; inset: 0; padding: 12vh 15vw; font: 18px/1.6 sans-serif; background: #fff; }}
</style>
<img id="page" alt="">
<div id="note" hidden></div>
<div id="help">
  <h1>inkproof {run} ({code})</h1>
  <p>{n_pages} pages to photograph from this screen. Put the browser in full screen (F11), zoom 100 %, brightness high, night
  colours off. Photograph each page with all four codes in the picture, no flash; step back a little and tilt the phone slightly
  if you see moir&eacute; stripes. Copy the photos to <code>captures/{run}/photos/</code>.</p>
  <p>Next page: click, space or &rarr;. Back: &larr;. This text: H.</p>
</div>
<script>
  const pages = {pages}, width = {width}, height = {height};
  let at = 0;
  const page = document.getElementById("page"), note = document.getElementById("note"), help = document.getElementById("help");
  function show() {{
    const ratio = window.devicePixelRatio, whole = (length) => Math.max(0, Math.round(length * ratio / 2) / ratio);
    page.src = pages[at];
    page.style.width = width / ratio + "px";
    page.style.height = height / ratio + "px";
    page.style.left = whole(innerWidth - width / ratio) + "px";
    page.style.top = whole(innerHeight - height / ratio) + "px";
    const across = Math.round(innerWidth * ratio), down = Math.round(innerHeight * ratio);
    note.textContent =
      across < width || down < height ? "This window has " + across + " x " + down + " pixels, the page needs " + width + " x " +
        height + ": full screen (F11), or a larger screen. Do not photograph a page that is cut off." :
      ratio % 1 ? "Zoom and display scaling make " + Math.round(ratio * 100) + " %. Reset the zoom (Ctrl 0) and set the " +
        "display to a whole scale (100 % or 200 %), or pixels may blur." : "";
    note.hidden = !note.textContent;
    document.title = "inkproof page " + (at + 1) + " of " + pages.length;
  }}
  function go(step) {{ help.hidden ? at = Math.min(pages.length - 1, Math.max(0, at + step)) : help.hidden = true; show(); }}
  addEventListener("click", () => go(1));
  addEventListener("keydown", (event) => {{
    if (["ArrowRight", " ", "PageDown"].includes(event.key)) go(1);
    if (["ArrowLeft", "PageUp"].includes(event.key)) go(-1);
    if (event.key === "h" || event.key === "H") help.hidden = !help.hidden;
  }});
  addEventListener("resize", show);
  show();
</script>
</html>
"""


def screen_html(printout: Printout) -> str:
    """Returns the HTML page that shows the pages of a printout for the screen, one at a time; it lies beside their pictures."""
    scale = printout.dpi / 25.4
    names = [screen_page_name(page).rpartition("/")[2] for page in range(1, printout.n_pages + 1)]
    return _PAGE.format(
        run=escape(printout.run),
        code=printout.run_code,
        n_pages=printout.n_pages,
        pages=names,
        width=round(printout.page_width_mm * scale),
        height=round(printout.page_height_mm * scale),
    )
