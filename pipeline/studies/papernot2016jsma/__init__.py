"""Papernot et al. (2016): the Jacobian saliency map attack, over all pairs of digits."""

from typing import TYPE_CHECKING

from pipeline.studies.study import Study

if TYPE_CHECKING:
    from pipeline.studies.lab.parts import Lab


class Papernot2016JSMA(Study):
    """Its experiments on MNIST."""

    name, reference = "papernot2016jsma", "Papernot et al. 2016"
    title, command = "The limitations of deep learning in adversarial settings", "inkproof reproduce papernot2016jsma --small"
    takes = "needs MNIST; in small 4 minutes of one core"

    def lab(self) -> "Lab":
        from pipeline.studies.lab.parts import Lab
        from pipeline.studies.papernot2016jsma import hardness, pairs

        return Lab((pairs.PART, hardness.PART), data={"MNIST": "torchvision/MNIST"})
