"""Memory that one computation frees serves the next one, in this process and in workers, unless the user set it by hand."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

N_BYTES = 80 * 2**20
pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")


def new_pages(_: int) -> int:
    """Returns how many pages three blocks took that follow one as large."""
    import resource

    b"x" * N_BYTES
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(3):
        b"x" * N_BYTES
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.parametrize(
    ("call", "by_hand", "is_kept"),
    [("keep_freed_memory()", {}, True), ("keep_freed_memory()", {"MALLOC_ARENA_MAX": "4"}, False), ("False", {}, False)],
    ids=["kept", "set by hand", "not asked for"],
)
def test_a_freed_block_serves_the_next_one(call, by_hand, is_kept):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        f"from pipeline.core.memory import keep_freed_memory\nfrom test_memory import new_pages\nprint({call}, new_pages(0))"
    )
    said, n_pages = run(code, by_hand).split()
    assert said == str(is_kept)
    assert (int(n_pages) < 1000) == is_kept


def test_workers_keep_their_memory():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pipeline.engine import Context, map\nfrom test_memory import new_pages\n"
        "if __name__ == '__main__': print(*[pages for _, pages in map(new_pages, [1, 2], Context(workers=2), 'take')])\n"
    )
    assert all(int(n_pages) < 1000 for n_pages in run(code, {}).split())


def run(code: str, by_hand: dict[str, str]) -> str:
    here = Path(__file__).parent
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    environment |= {"PYTHONPATH": str(here.parent), **by_hand}
    command = [sys.executable, "-c", code, str(here)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
