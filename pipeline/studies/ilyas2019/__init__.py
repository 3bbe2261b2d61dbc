"""Ilyas et al. (2019): adversarial examples come from features that are useful and not robust."""

from typing import TYPE_CHECKING

from pipeline.studies.study import Study

if TYPE_CHECKING:
    from pipeline.studies.lab.parts import Lab


class Ilyas2019(Study):
    """Its experiments on CIFAR-10 and its two Gaussians."""

    name, reference = "ilyas2019", "Ilyas et al. 2019"
    title, command = "Adversarial examples are not bugs, they are features", "inkproof reproduce ilyas2019 --small"
    takes = "needs CIFAR-10 as JPEG; in small 21 minutes of one core"

    def lab(self) -> "Lab":
        from pipeline.studies.ilyas2019 import accuracy, features, gaussian, transfer
        from pipeline.studies.ilyas2019.published import TEXTS
        from pipeline.studies.lab.parts import Lab

        parts = (accuracy.PART, features.PART, transfer.PART, gaussian.PART)
        return Lab(parts, data={"CIFAR-10 as JPEG": "cifar10_jpeg"}, lead=TEXTS["lead"])
