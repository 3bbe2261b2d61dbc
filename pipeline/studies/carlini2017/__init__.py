"""Carlini and Wagner (2017): success and distance of attacks for the best, the average and the worst target, and distillation."""

from typing import TYPE_CHECKING

from pipeline.studies.study import Study

if TYPE_CHECKING:
    from pipeline.studies.lab.parts import Lab


class Carlini2017(Study):
    """Its Tables III to VI and Fig. 10; Tables IV and V for any experiment are made by `inkproof attack-table`."""

    name, reference = "carlini2017", "Carlini and Wagner 2017"
    title, command = "Towards evaluating the robustness of neural networks", "inkproof reproduce carlini2017 --small"
    takes = "needs MNIST, CIFAR-10 and ImageNet photographs; in small 24 minutes of one core"

    def lab(self) -> "Lab":
        from pipeline.studies.carlini2017 import distilled, objectives, transfer, undefended
        from pipeline.studies.carlini2017.published import TEXTS
        from pipeline.studies.lab.parts import Lab

        parts = (undefended.MNIST_PART, undefended.CIFAR_PART, undefended.IMAGENET_PART)
        data = {
            "MNIST": "torchvision/MNIST",
            "CIFAR-10": "cifar10_jpeg/test",
            "ImageNet photographs": "imagenet/labels.csv",
            "their networks": "weights/mobilenet_v2_qat.pt",
        }
        return Lab((*parts, distilled.PART, objectives.PART, transfer.PART), data=data, lead=TEXTS["lead"])
