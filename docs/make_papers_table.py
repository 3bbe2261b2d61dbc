"""Prints the findings of docs/papers.md from the small variants in workspaces: python docs/make_papers_table.py WORKSPACE ..."""

import sys
from pathlib import Path

from pipeline.studies import STUDIES
from pipeline.studies.lab.running import FINDINGS_TEXT


def main() -> None:
    print("| study | statement | found | n | p, corrected | verdict |\n|---|---|---|---|---|---|")
    for name in STUDIES.names():
        for workspace in map(Path, sys.argv[1:]):
            table = workspace / "reports" / f"{name}-small" / FINDINGS_TEXT
            if table.is_file():
                for line in table.read_text(encoding="utf-8").splitlines()[2:]:
                    print(f"| `{name}` {line}")
                break


if __name__ == "__main__":
    main()
