"""Maps of what a network looks at (occlusion, Grad-CAM), put to the test by deletion and insertion (Petsiuk et al. 2018)."""

from typing import TYPE_CHECKING

from pipeline.studies.study import Study

if TYPE_CHECKING:
    from pipeline.studies.lab.parts import Lab


class Explain(Study):
    """Whether the maps say what an answer hangs on, on clean, adversarial and photographed pictures."""

    name, reference = "explain", "Petsiuk et al. 2018"
    title, command = "What a network looks at, put to the test", "inkproof reproduce explain --small"
    takes = "needs the ImageNet pack; in small 7 minutes of one core"

    def lab(self) -> "Lab":
        from pipeline.studies.explain import choices, orders, pictures, resnet
        from pipeline.studies.explain.texts import TEXTS
        from pipeline.studies.lab.parts import Lab

        data = {
            "the ImageNet pack": "imagenet/labels.csv",
            "MobileNetV2's weights": "weights/mobilenet_v2_qat.pt",
            "their loader": "models_ref.py",
        }
        return Lab((orders.PART, pictures.PART, choices.PART, resnet.part()), data, TEXTS["lead"])
