"""Szegedy et al. (2014): which attacks on one network fool another."""

from pipeline.studies.study import Study


class Szegedy2014(Study):
    """Its Table 2, for any runs."""

    name, reference = "szegedy2014", "Szegedy et al. 2014"
    title, command = "Intriguing properties of neural networks", "inkproof transfer EXPERIMENT EXPERIMENT"
