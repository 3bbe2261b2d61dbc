"""Szegedy et al. (2014): adversarial examples of one model asked of others, with noise as the control."""

from typing import TYPE_CHECKING

from pipeline.studies.study import Study

if TYPE_CHECKING:
    from pipeline.studies.lab.parts import Lab


class Szegedy2014(Study):
    """Its experiments on MNIST; the transfer matrix, for finished runs, is a command of its own."""

    name, reference = "szegedy2014", "Szegedy et al. 2014"
    title, command = (
        "Intriguing properties of neural networks",
        "inkproof reproduce szegedy2014 --small",
    )
    takes = "needs MNIST; in small 5 minutes of one core"

    def lab(self) -> "Lab":
        from pipeline.studies.lab.parts import Lab
        from pipeline.studies.szegedy2014 import bounds, distortion, units

        return Lab((distortion.DISTORTION, distortion.HALVED, units.PART, bounds.PART), data={"MNIST": "torchvision/MNIST"})
