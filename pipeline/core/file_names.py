"""Names that a file or a folder can have on every system."""

import re

FOLDER_NAME = r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?$"
FOLDER_HINT = "Use a to z, A to Z, digits, '.', '_' and '-', with no '.' at the end and no name of a device, such as CON."
# Windows keeps these for devices, with any ending and in any case.
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


def is_device(name: str) -> bool:
    """Returns whether Windows takes a name for that of a device, as "CON" or "nul.png"."""
    return _DEVICES.fullmatch(name) is not None


def folder_name(name: str) -> str:
    """Returns the name; raises ValueError where it cannot be that of a folder on Windows."""
    if is_device(name):
        raise ValueError("Windows keeps this name for a device, so it cannot name a folder.")
    return name
