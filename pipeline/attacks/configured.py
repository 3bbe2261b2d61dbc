"""What attacks with options have in common: the record of them, a target among it, and what a result depends on."""

from dataclasses import asdict
from typing import Any

from pipeline.attacks.targets import check_target


class Configured:
    """An attack that was told something; a subclass has a name and the kind of its options."""

    name: str
    options_kind: type
    accepts_targets = True

    def __init__(self, options: Any = None) -> None:
        self._options = options or self.options_kind()
        check_target(self._options.target, self.name)
        self.targeted = self._options.target != ""

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that the result depends on besides image, label, epsilon and network."""
        return asdict(self._options)
