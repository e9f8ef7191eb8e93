"""How many faults are made, and from which seed: LERAX_FAULTS=all makes all, LERAX_FAULTS_SEED others."""

import os
import random

SEED = int(os.environ.get("LERAX_FAULTS_SEED", "1"))
ALL = os.environ.get("LERAX_FAULTS") == "all"


def count(everything: int, sample: int) -> range:
    """The numbers of the faults of one kind."""
    return range(everything if ALL else sample)


def chance_of(*kind: str | int) -> random.Random:
    """What decides on one fault."""
    return random.Random(f"{kind} {SEED}")
