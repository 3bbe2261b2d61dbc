"""The words that say which class a targeted attack leads to."""

from pipeline.core.errors import WrongUse, near_match

AWAY, LEAST_LIKELY, SECOND, RANDOM, NEXT = "", "least-likely", "second", "random", "next"


def check_target(target: str, name: str, may_be_away: bool = True) -> None:
    """Refuses what is no target.

    Raises:
        WrongUse: the word is unknown, or empty where the attack needs a target.
    """
    known = [AWAY] * may_be_away + [LEAST_LIKELY, SECOND, RANDOM, NEXT]
    if target not in known and not target.isdigit():
        hint = f"{near_match(target, filter(None, known))} A class number in quotes is a target too."
        raise WrongUse(f'attack "{name}": target = "{target}" is no target.', hint)
