"""What an attack can be told beside its epsilons: one frozen record for each attack that has options."""

from dataclasses import dataclass

from pipeline.settings import setting


@dataclass(frozen=True)
class ExpectationOptions:
    """Options of `eot`."""

    profile: str = setting(
        "office-phone", "Simulated printer and camera that it expects: a name (see `inkproof list profiles`) or a .toml file."
    )
    n_steps: int = setting(40, "Steps.", minimum=1, maximum=10_000)
    n_samples: int = setting(4, "Simulated photographs that each step's gradient is the mean of.", minimum=1, maximum=1000)
    step_8bit: int = setting(1, "Length of a step.", minimum=1, maximum=255, unit="8-bit")
    target: str = setting(
        "", 'Where it leads: "" away from the true class, or "least-likely" to that class of the clean image.',
        choices=("", "least-likely"),
    )  # fmt: skip
    image_mm: float = setting(70.0, "Side of the printed image that it expects.", minimum=5, maximum=200, unit="mm")
    seed: int = setting(0, "Seed of its simulated photographs.", minimum=0)
