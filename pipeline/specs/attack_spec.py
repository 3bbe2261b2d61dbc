"""What an attack says of itself: everything that anyone outside may ask before one is made."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

# Who says which class an image is led to: nobody, since it only leads away; whoever asks, or nobody; whoever asks, or else the
# attack; the attack alone.
NONE, OPTIONAL, ALWAYS, OWN = "none", "optional", "always", "own"


@dataclass(frozen=True)
class AttackSpec:
    """One attack.

    Attributes:
        title: what tables and figures call it.
        summary: one line for a person.
        make: its class, as "module:Class"; imported when it is used.
        options: the record of its options, as "module:Record", made as those in `attacks/options.py`; "" where it has none.
        norm: "linf", "l2", "l1" or "l0" that its budget is counted in or that it makes small, "" where it is none of these;
            an option called `norm` chooses another.
        takes_epsilon: whether it has a budget; without one, its epsilon is NO_EPSILON.
        targets: one of the words above.
        batch_size: how many images it is given at once; 0 for as many as the device likes.
        check: a function of the options that refuses what no single one tells, as "module:function"; "" for none.
        style: its colour and marker in figures; such attacks come first. None for one of the spare ones.
    """

    name: str
    title: str
    summary: str
    make: str
    options: str = ""
    norm: str = "linf"
    takes_epsilon: bool = True
    targets: str = OPTIONAL
    batch_size: int = 0
    check: str = ""
    style: tuple[str, str] | None = None

    @property
    def shown(self) -> str:
        return self.name

    @property
    def accepts_targets(self) -> bool:
        """Whether one can say which class each image is led to."""
        return self.targets in (OPTIONAL, ALWAYS)

    def told(self, options: Mapping[str, Any]) -> "AttackSpec":
        """Returns what it is with these options."""
        return replace(self, norm=options.get("norm", self.norm))
