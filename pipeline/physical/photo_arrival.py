"""What is known of a photo before it is read: its hash, what this machine lacks to read it, and whether a person took it."""

from pathlib import Path

from pipeline.store import Hashes, Run, content_hash, photo_digest, photo_files, photo_name, photo_trouble

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


def photo_by_a_person(run: Run) -> str:
    """Returns the name of the first picture or film in the photos folder that the simulator did not make, "" for none."""
    from pipeline.images.photo_tags import photo_tags
    from pipeline.images.pictures import capture_kind
    from pipeline.physical.simulator import is_simulated

    for path in photo_files(run, by_camera=True):
        if photo_trouble(run, path) is None and capture_kind(path):
            tags = photo_tags(path)
            if not is_simulated(tags.maker, tags.software):
                return photo_name(run, path)
    return ""
