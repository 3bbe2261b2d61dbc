"""Prints docs/experiment-file.md: everything that an experiment file can say, as Markdown, from the settings themselves."""

from pipeline.core.registry import load
from pipeline.settings import SECTIONS, AttackSettings, DefenceSettings, JudgeSettings, described
from pipeline.settings.writing import toml_value
from pipeline.specs.attacks import ATTACKS
from pipeline.specs.defences import DEFENCES

_HEAD = ("| key | default | meaning |", "|---|---|---|")


def settings_page() -> str:
    """Returns the documentation of every setting as Markdown, from the settings themselves."""
    lines = [
        "# The experiment file",
        "",
        "An experiment is one TOML file; `inkproof init` writes one with comments. Unknown keys and bad values are refused with",
        "file, line and the nearest valid key. `--set section.key=value` overrides a setting on the command line,",
        "`--set attacks.fgsm.epsilons_8bit=[8]` one of an attack. Paths start from the file's own folder; `$NAME` and",
        "`${NAME:-default}` are filled in from the environment.",
        "",
        "Before the first stage everything is checked that can be: the model and the judges are opened, and the data set where",
        "images are still to be drawn; the pages are tried with the numbers of images asked for; layers, classes and images that",
        "are named are looked for. `--dry-run` does the same and makes nothing.",
        "",
        *_HEAD,
        "| `name` | the file's name | The run's name, and that of its folders. |",
        "| `seed` | `0` | Seed of every random draw. |",
    ]
    tables = ("[attacks]", AttackSettings), ("[defences]", DefenceSettings), ("[judges]", JudgeSettings)
    for name, kind in [*SECTIONS.items(), *tables]:
        lines += ["", f"## [{name}]", "", kind.__doc__ or "", "", *_HEAD]
        lines += _rows(kind)
    chosen = [("[[attacks]]", ATTACKS.own.items()), ("[[defences]]", DEFENCES.own.items())]
    for table, name, spec in ((table, *entry) for table, entries in chosen for entry in entries):
        if spec.options:
            lines += [
                "",
                f"## Options of `{name}`",
                "",
                f"`options = {{ … }}` in its {table} entry: {spec.summary}.",
                "",
                *_HEAD,
            ]
            lines += _rows(load(spec.options))
    lines += [
        "",
        "## [transforms]",
        "",
        "One key for each digital transform, with the list of its parameter's values: see [transforms.md](transforms.md).",
        "`save_images = true` keeps every transformed image as a file.",
    ]
    return "\n".join(lines) + "\n"


def _rows(kind: type) -> list[str]:
    return [f"| `{item.name}` | `{toml_value(item.default)}` | {item.text} |" for item in described(kind)]


if __name__ == "__main__":
    print(settings_page(), end="")
