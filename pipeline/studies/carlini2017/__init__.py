"""Carlini and Wagner (2017): success and distance of attacks for the best, the average and the worst target."""

from pipeline.studies.study import Study


class Carlini2017(Study):
    """Its Tables IV and V, for any model and data set."""

    name, reference = "carlini2017", "Carlini and Wagner 2017"
    title, command = "Towards evaluating the robustness of neural networks", "inkproof attack-table EXPERIMENT"
