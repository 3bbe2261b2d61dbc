"""Cohen, Rosenfeld and Kolter (2019): the L2 radius within which the answer of a smoothed classifier cannot change."""

from pipeline.studies.study import Study


class Cohen2019(Study):
    """Its certified accuracy, for any model, data set and noise."""

    name, reference = "cohen2019", "Cohen et al. 2019"
    title, command = "Certified adversarial robustness via randomized smoothing", "inkproof certify EXPERIMENT"
