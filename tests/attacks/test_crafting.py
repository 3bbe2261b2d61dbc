"""Crafting in worker processes: the same adversarial images as here, kept by the parent."""

import numpy as np
import pytest

from pipeline.attacks.crafting import CandidatePool, Crafter
from pipeline.datasets import open_dataset
from pipeline.engine import Context, processes
from pipeline.models import load_classifier
from pipeline.settings import AttackSettings, DatasetSettings, ModelSettings
from pipeline.store import Items

PATCH = {"n_steps": 2, "over": "file"}


@pytest.mark.parametrize(
    "attack", [AttackSettings("bim", epsilons_8bit=(2, 4)), AttackSettings("patch", options=PATCH)], ids=["bim", "learnt"]
)
def test_what_workers_craft_is_what_is_crafted_here(attack, tmp_path, monkeypatch):
    monkeypatch.setattr(processes.Processes, "_until_it_is_worth", lambda *_: iter(()))
    monkeypatch.setattr(processes, "peak_bytes", lambda: 1)
    model = ModelSettings()
    classifier = load_classifier(model)
    dataset = open_dataset(DatasetSettings(n_images=16), classifier.class_names, classifier.wordnet_ids)
    pool = CandidatePool(dataset, classifier, Items(tmp_path / "pool"))
    images = [(candidate, pool.pixels(candidate)) for candidate in pool.candidates(range(16))]
    training = np.stack([pixels for _, pixels in images[:8]])
    made = {}
    for workers in (1, 2):
        kept = Items(tmp_path / f"{workers}")
        crafter = Crafter(classifier, model, kept, Context(workers=workers), [attack], lambda folder, n: training)
        made[workers] = crafter.craft(attack.key, attack.epsilons, images)
        again = Crafter(classifier, model, Items(tmp_path / f"{workers}"), Context(), [attack], lambda folder, n: training)
        with monkeypatch.context() as patched:
            patched.setattr("pipeline.attacks.crafting._perturbed", lambda *_, **__: pytest.fail("made again"))
            assert again.craft(attack.key, attack.epsilons, images) == made[workers]
        assert len(made[workers]) == len(images) * len(attack.epsilons)
    assert made[1] == made[2]
