"""What one option of an attack alone does not tell: options that contradict each other, files that cannot be used."""

from pathlib import Path

from pipeline.attacks.options import ExpectationOptions, PatchOptions
from pipeline.attacks.targets import RANDOM
from pipeline.core.errors import WrongUse
from pipeline.images import picture_files
from pipeline.physical.simulator import load_profile
from pipeline.transforms.ranges import checked_ranges


def check_expectation(options: ExpectationOptions) -> None:
    """Refuses ranges that are none, transforms that are not gone through, and a profile that cannot be read."""
    ranges = checked_ranges(options.transforms)
    if (options.over != "camera") != bool(ranges):
        hint = 'Add transforms, for example { blur = [0.4, 2] }, and over = "transforms" or "both".'
        raise WrongUse(f'attack "eot": over = "{options.over}" does not go with {len(ranges)} transforms.', hint)
    load_profile(options.profile)


def check_patch(options: PatchOptions) -> None:
    """Refuses a target that is not one class for all images, a profile that cannot be read, and a folder without pictures."""
    if options.target != RANDOM and not options.target.isdigit():
        hint = f'Choose "{RANDOM}" or a class number in quotes.'
        raise WrongUse(f'attack "patch": target = "{options.target}" is no target.', hint)
    load_profile(options.profile)
    if options.images:
        picture_files(Path(options.images))
