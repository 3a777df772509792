"""The sigma cue: how differently precise people are at two landmarks, by the evaluator's table."""

from __future__ import annotations

import numpy as np

from kps.likeness.cue import Cue, cue
from kps.schema import SIGMAS


def sigma_cue() -> Cue:
    """Distance of the OKS sigmas: 0 if equal, 0.5 if one is twice the other."""
    log = np.log(SIGMAS)
    return cue(
        "sigma",
        1 - np.exp(-np.abs(log[:, None] - log[None])),
        "1 - exp(-|log sigma_i - log sigma_j|) of the evaluator's OKS sigmas: 1 minus the smaller sigma "
        "over the larger (no unit).",
    )
