"""Takes one photo off the line into the photos folder: whole or not at all, under a name of the server's own."""

import asyncio
import hashlib
import os
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from pipeline.companion.refusals import Refusal
from pipeline.images.formats import image_format
from pipeline.images.pictures import PHOTO, capture_kind
from pipeline.store.files import PARTIAL, free_space_mb

MOST_BYTES = 64 * 10**6
MOST_PHOTOS = 5000
# Nothing came for so long, or not all of it in so long.
IDLE_S, WHOLE_S = 30.0, 600.0
LEAST_FREE_MB = 500
_CHUNK_BYTES = 2**20
_SUFFIXES = {"JPEG": "jpg", "HEIF": "heic", "JPEG2000": "jp2"}
_MEGABYTE = 10**6


async def receive(body: AsyncIterator[bytes], said_bytes: int | None, folder: Path, have: dict[str, Path]) -> tuple[str, bool]:
    """Writes a photo that comes in pieces into a folder; returns the SHA-256 of its bytes, and whether it is a new one.

    Its bytes are on the disk before its name appears.

    Args:
        said_bytes: how large it says that it is.
        have: the photos that are there, by the SHA-256 of their bytes; they are not kept again, and a new one is added.

    Raises:
        Refusal: too large, too slow, not a photo, or there is no room; then nothing of it stays.
    """
    if said_bytes is not None and said_bytes > MOST_BYTES:
        raise _too_large()
    if await asyncio.to_thread(free_space_mb, folder) < LEAST_FREE_MB:
        raise Refusal(507, "The computer's disk is nearly full.", "Make room there, then send the photo again.")
    handle, partial = tempfile.mkstemp(dir=folder, prefix=".inkproof-", suffix=PARTIAL)
    try:
        with os.fdopen(handle, "wb") as file:
            try:
                async with asyncio.timeout(WHOLE_S):
                    sha256 = await _written(body, file)
            except TimeoutError:
                what_to_do = "Go nearer to the Wi-Fi and send it again."
                raise Refusal(408, "The photo came too slowly and was dropped.", what_to_do) from None
        kind = await asyncio.to_thread(_photo_kind, Path(partial))
        if sha256 in have and have[sha256].exists():
            return sha256, False
        os.chmod(partial, 0o644)
        have[sha256] = folder / _name(sha256, kind)
        os.replace(partial, have[sha256])
        return sha256, True
    finally:
        Path(partial).unlink(missing_ok=True)


async def _written(body: AsyncIterator[bytes], file: BinaryIO) -> str:
    """Writes what comes, and returns its SHA-256; raises TimeoutError where nothing comes for IDLE_S."""
    digest, n_bytes, waiting = hashlib.sha256(), 0, bytearray()

    def write(content: bytes) -> None:
        digest.update(content)
        file.write(content)

    pieces = aiter(body)
    while True:
        async with asyncio.timeout(IDLE_S):
            piece = await anext(pieces, None)
        if piece is None:
            break
        n_bytes += len(piece)
        if n_bytes > MOST_BYTES:
            raise _too_large()
        waiting += piece
        if len(waiting) >= _CHUNK_BYTES:
            await asyncio.to_thread(write, bytes(waiting))
            waiting.clear()
    await asyncio.to_thread(write, bytes(waiting))
    file.flush()
    await asyncio.to_thread(os.fsync, file.fileno())
    return digest.hexdigest()


def _photo_kind(path: Path) -> str:
    """Returns the kind of photo that a file's content announces, whatever it is called."""
    if not path.stat().st_size:
        raise Refusal(400, "The photo is empty: nothing arrived.", "Send it again.")
    if capture_kind(path) != PHOTO:
        what_to_do = "Take a photo, or pick one. Scans (PDF, TIFF) and films go into the run's photos folder at the computer."
        raise Refusal(415, "This is not a photo (JPEG, HEIC, PNG, WebP, AVIF or a raw file).", what_to_do)
    return image_format(path)


def _name(sha256: str, kind: str) -> str:
    return f"phone-{time.strftime('%Y%m%d-%H%M%S')}-{sha256[:8]}.{_SUFFIXES.get(kind, kind.lower())}"


def _too_large() -> Refusal:
    most = f"The photo is larger than {MOST_BYTES // _MEGABYTE} MB, the most that is taken here."
    return Refusal(413, most, "Copy it into the run's photos folder at the computer, or photograph with fewer megapixels.")
