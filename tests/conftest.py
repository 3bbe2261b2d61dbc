"""Where the tests find real photographs and weights, which are not part of the project."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder named by INKPROOF_DATA, `../shared/data` beside the repository by default; tests that need it are skipped without it."""
    default = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
    root = Path(os.environ.get("INKPROOF_DATA") or default)
    if not root.is_dir():
        pytest.skip(f"needs the real data pack: there is no folder {root} (set INKPROOF_DATA)")
    return root
