"""What is known of a photo before it is read: its hash, and what this machine lacks to read it."""

from pathlib import Path

from pipeline.store import Hashes, Run, content_hash, photo_digest, photo_trouble

_JPEG = b"\xff\xd8\xff"  # how a JPEG begins: nothing is lacking to read it


def photo_arrival(run: Run, path: Path, hashes: Hashes) -> str:
    """Returns the hash of a photo's bytes; with that of what this machine lacks to read it, where it lacks something."""
    digest = photo_digest(run, path, hashes)
    if photo_trouble(run, path) is not None:
        return digest
    with path.open("rb") as file:
        if file.read(len(_JPEG)) == _JPEG:
            return digest
    from pipeline.images import missing_reader

    missing = missing_reader(path)
    return content_hash([digest, missing]) if missing else digest
