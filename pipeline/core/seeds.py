"""Every random draw of a run comes from here, so results do not depend on order, batch size or worker count."""

import hashlib

import numpy as np


def seed_for(run_seed: int, stage: str, item_id: str = "") -> int:
    """Returns the 63-bit seed of one item of one stage of one run, the same on every machine."""
    digest = hashlib.sha256(f"{run_seed}\x1f{stage}\x1f{item_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator_for(run_seed: int, stage: str, item_id: str = "") -> np.random.Generator:
    """Returns the NumPy generator (PCG64) of one item of one stage of one run."""
    return np.random.Generator(np.random.PCG64(seed_for(run_seed, stage, item_id)))
