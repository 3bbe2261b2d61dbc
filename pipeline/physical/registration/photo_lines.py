"""What came of every photo and of every page, a line each, and what to do next, from the records that the crops left behind."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from pipeline.physical.registration.advice import COVERED_ACTION, quality_advice
from pipeline.records import DISCARD_REASONS, PHOTO, Capture, CropQuality, Discard, Printout

# Why a crop of a page that was found is not there.
LOST = {"outside": "outside the photo", "unplaced": "not placed", "covered": "covered"}
NOTHING_WRONG = "nothing wrong"


def photo_lines(
    captures: Sequence[Capture], discards: Sequence[Discard], quality: Sequence[CropQuality]
) -> list[tuple[str, str]]:
    """Returns (photo, what came of it and what to do) for every file in the photos folder, in the order of their names.

    "page 3, nothing wrong", "page 5, bottom-right code in glare: photograph again without flash, lamp from the side" or
    "not used, too blurred: hold still, tap to focus"; of a file with several pictures each, in the order that they have there.
    """
    words: dict[str, list[str]] = defaultdict(list)
    crops, whole, lost = _by_capture(quality), dict[str, Discard](), defaultdict[str, list[Discard]](list)
    known = {capture.photo for capture in captures}
    for row in discards:
        if row.pair_id:
            lost[row.capture_id].append(row)
        elif row.photo in known:
            whole[row.capture_id] = row
        else:
            words[row.photo].append(f"not used, {_reason(row)}")
    for capture in captures:
        name = capture.capture_id
        words[capture.photo].append(_capture_line(capture, crops[name], lost[name], whole.get(name)))
    return [(photo, "; ".join(words[photo])) for photo in sorted(words)]


def pages_to_do(
    printout: Printout, captures: Sequence[Capture], discards: Sequence[Discard], quality: Sequence[CropQuality]
) -> list[tuple[int, str]]:
    """Returns (page, why and what to do) for every page without a counted capture or with flagged or missing crops."""
    counted: dict[int, set[str]] = defaultdict(set)
    for capture in captures:
        if capture.counts and capture.page is not None:
            counted[capture.page].add(capture.capture_id)
    rows = _by_capture(quality)
    to_do = []
    for page in range(1, printout.n_pages + 1):
        if page in counted:
            crops = [row for capture_id in sorted(counted[page]) for row in rows[capture_id]]
            lost = [row for row in discards if row.capture_id in counted[page] and row.pair_id]
            words = crops_to_do(crops, lost)
        else:
            words = _page_to_do(page, captures, discards)
        if words:
            to_do.append((page, words))
    return to_do


def _by_capture(quality: Sequence[CropQuality]) -> dict[str, list[CropQuality]]:
    rows: dict[str, list[CropQuality]] = defaultdict(list)
    for row in quality:
        rows[row.view_id.rpartition(f"/{PHOTO}-")[2]].append(row)
    return rows


def _capture_line(capture: Capture, crops: Sequence[CropQuality], lost: Sequence[Discard], whole: Discard | None) -> str:
    frame = f" ({capture.frame})" if capture.frame else ""
    if not crops and (whole or capture.page is None):
        return f"not used{frame}, {capture.trouble or (_reason(whole) if whole else 'nothing was found in it')}"
    told = [capture.trouble, crops_to_do(crops, lost)]
    if whole and whole.reason == "superseded":
        told.append(_reason(whole))
    return f"page {capture.page}{frame}, {'; '.join(filter(None, told)) or NOTHING_WRONG}"


def _reason(row: Discard) -> str:
    return DISCARD_REASONS[row.reason] + (f" ({row.detail})" if row.detail else "")


def crops_to_do(crops: Sequence[CropQuality], lost: Sequence[Discard]) -> str:
    """Returns what is wrong with a page's crops, and with those that are missing, and what to do; "" for nothing."""
    n = len(crops) + len(lost)
    flags = Counter(flag for row in crops for flag in row.flags)
    found = [f"{count} of {n} images {flag}" for flag, count in flags.most_common()]
    reasons = Counter(row.reason for row in lost)
    found = [f"{count} of {n} images {LOST[reason]}" for reason, count in reasons.items() if reason in LOST] + found
    actions = ["all of the page in the picture"] if "outside" in reasons else []
    actions += [COVERED_ACTION] if "covered" in reasons else []
    actions += [quality_advice(("uncertain",) * ("unplaced" in reasons) + tuple(flags))]
    return f"{', '.join(found)}: {', '.join(filter(None, actions))}" if found else ""


def _page_to_do(page: int, captures: Sequence[Capture], discards: Sequence[Discard]) -> str:
    """Returns why no photo of a page counts: the last one that shows it, else that there is none."""
    tried = [capture for capture in captures if capture.page == page]
    if tried:
        reason = next((row.reason for row in discards if row.capture_id == tried[-1].capture_id), "")
        why = tried[-1].trouble or DISCARD_REASONS.get(reason, "no image of it could be cropped")
        return f"{_shown(tried[-1])} is not used: {why}"
    of_pages = {_shown(capture) for capture in captures if capture.page is not None}
    unread = [capture for capture in captures if capture.page is None and _shown(capture) not in of_pages]
    if not unread:
        return "not in any photo"
    more = f", {len(unread)} photos show" if len(unread) > 1 else f", {_shown(unread[0])} shows"
    return f"not in any photo{more} no page of this run"


def _shown(capture: Capture) -> str:
    return f"{capture.photo} ({capture.frame})" if capture.frame else capture.photo
