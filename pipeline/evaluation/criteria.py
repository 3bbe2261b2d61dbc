"""When an answer is right: all that the rest of the evaluation knows of what an answer looks like."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pipeline.records import TOP_KS, top_ks_for


class Criterion(Protocol):
    """A rule by which an answer is right about what was shown; answers are opaque outside it."""

    def holds(self, answer: Any, truth: Any) -> bool:
        """Whether an answer is right, given what is true of the image (or what an attack aims at)."""


@dataclass(frozen=True, slots=True)
class TopK:
    """Right where the true label is among the first k of the labels that are answered, best first."""

    k: int

    def holds(self, answer: Sequence[int], truth: int) -> bool:
        """Whether the label is among the first k."""
        return truth in answer[: self.k]


@dataclass(frozen=True, slots=True)
class TargetReached:
    """Right, for an attack that aims at a class, where that is the first label; any wrong one will do where it aims at none."""

    target: int | None

    def holds(self, answer: Sequence[int], truth: int) -> bool:
        """Whether the attack has what it wants, given the true label."""
        return answer[0] != truth if self.target is None else answer[0] == self.target


TOP_1 = TopK(1)
CRITERIA = tuple(map(TopK, TOP_KS))


def n_ranked_of(model: Mapping[str, Any]) -> int:
    """Returns how many classes the answers of a run's model put in order; runs of before tell only how many it has."""
    return int(model.get("n_ranked", model["n_classes"]))


def criteria_for(n_ranked: int) -> tuple[TopK, ...]:
    """Returns the criteria that say something of a model whose answers put so many classes in order, the strictest first."""
    return tuple(map(TopK, top_ks_for(n_ranked)))
