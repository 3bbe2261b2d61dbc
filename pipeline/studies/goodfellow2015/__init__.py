"""Goodfellow, Shlens and Szegedy (2015): the fast gradient sign method, and linear behaviour as its explanation."""

from typing import TYPE_CHECKING

from pipeline.studies.study import Study

if TYPE_CHECKING:
    from pipeline.studies.lab.parts import Lab


class Goodfellow2015(Study):
    """Its experiments on MNIST."""

    name, reference = "goodfellow2015", "Goodfellow, Shlens and Szegedy 2015"
    title, command = "Explaining and harnessing adversarial examples", "inkproof reproduce goodfellow2015 --small"
    takes = "needs MNIST; in small 9 minutes of one core"

    def lab(self) -> "Lab":
        from pipeline.studies.goodfellow2015 import decay, fooling, linear, rubbish, transfer
        from pipeline.studies.lab.parts import Lab

        parts = (fooling.PART, linear.DIMENSION, linear.SWEEP, rubbish.PART, decay.PART, transfer.TRANSFER, transfer.ENSEMBLES)
        return Lab(parts, data={"MNIST": "torchvision/MNIST"})
