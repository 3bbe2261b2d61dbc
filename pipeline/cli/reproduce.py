"""The command that runs a paper's experiment: its file is written beside the runs, and is then run like any other."""

import argparse
import os
import re
from typing import Any

from pipeline.cli import commands

PAPERS = ("kurakin2016",)
DATA = "INKPROOF_DATA"
_BUILT_IN = """[dataset]
name = "builtin:signs"

[model]
name = "builtin:signs"

"""


def reproduce(options: argparse.Namespace) -> tuple[Any, int]:
    """Writes the experiment's file unless it is there, and runs it, on photographs that a person took or on simulated ones."""
    from pipeline.store import Run, photo_files, write_bytes
    from pipeline.store.artefacts import REPRODUCTION_TEXT

    name, text = paper_experiment(options.paper, options.small, DATA in os.environ)
    file = options.workspace / f"{name}.toml"
    run = Run(options.workspace, name)
    has_photos = bool(photo_files(run, by_camera=True))
    by_person = options.photos == "me" or (options.photos == "any" and has_photos)
    if options.dry_run and not file.is_file():
        because = f"{file} would be written, and every stage would run"
        return {"would_run": [{"stage": "reproduce", "because": because}]}, 0
    if not file.is_file():
        write_bytes(file, text.encode())
        options.display.say(f"wrote {file}")
    elif file.read_text(encoding="utf-8") != text:
        options.display.say(f"{file} was there already and is used as it is")
    options.experiment = file
    options.set = [f"photograph.by={'camera' if by_person else 'simulator'}", *options.set]
    result, code = commands.run(options)
    text_file = REPRODUCTION_TEXT.path(run)
    return result | ({"wrote": str(text_file)} if text_file.is_file() and not options.dry_run else {}), code


def paper_experiment(paper: str, small: bool, has_data: bool) -> tuple[str, str]:
    """Returns the name and the text of a paper's experiment; without the data that it asks for, of the built-in images."""
    template = f"{paper}-small" if small else paper
    text = (commands.templates() / f"{template}.toml").read_text(encoding="utf-8")
    if has_data:
        return template, text
    name = f"{template}-signs"
    start, end = text.index("[dataset]"), re.search(r"^(#[^\n]*\n)*\[selection\]", text, re.MULTILINE).start()
    head = (
        f"# The experiment of examples/{template}.toml with the built-in images and network in place of ImageNet: orderings can\n"
        f"# be compared with the paper, numbers cannot. With {DATA} set, inkproof reproduce takes what that folder holds.\n"
    )
    settings = re.sub(r"\A(#[^\n]*\n)*", head, text[:start]).replace(f'name = "{template}"', f'name = "{name}"', 1)
    return name, settings + _BUILT_IN + text[end:]
