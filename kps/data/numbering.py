"""How the landmarks of short sleeve outwear are numbered: an open question that annotations can settle.

The official evaluator's sigmas, which are equal within a mirror pair, pair landmarks (2, 6) and (4, 26): 2
and 6 are the corners of the neck, 4 and 26 the upper ends of the front edges. The data set authors' figure
has 2 and 4 the other way round, so that it pairs (4, 6) and (2, 26). Two tests on frontal items, in each of
which an item has one vote:

- height: the corners of the neck lie about as high as landmark 1, the middle of the neck's back between
  them. Which of 2 and 4 is nearer to the mean height of 1 and 6?
- mirror: the line between the shoulders 7 and 25, a pair in both numberings, is the normal of the mirror.
  The mirrored vector from 4 to 2 runs as the one from 26 to 6 if (2, 6) and (4, 26) are the pairs, and the
  opposite way otherwise. This holds for tilted photos too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import binomtest

CATEGORY_ID = 3
FRONTAL = 2  # the viewpoint
MIN_ITEMS = 10
SIGMAS, FIGURE, UNDECIDED = "2 and 6", "2 and 26", "undecided"


@dataclass(frozen=True)
class Vote:
    """A test's votes: how many of its items speak for the sigmas' pair 2 and 6."""

    test: str
    num_items: int
    num_for_sigmas: int

    @property
    def share(self) -> float | None:
        """Share of the items that speak for 2 and 6."""
        return self.num_for_sigmas / self.num_items if self.num_items else None

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the share."""
        if not self.num_items:
            return 0.0, 1.0
        result = binomtest(self.num_for_sigmas, self.num_items).proportion_ci(0.95, method="wilson")
        return float(result.low), float(result.high)

    @property
    def answer(self) -> str:
        """The pair that the items speak for; undecided with few items or where 0.5 is in the interval."""
        low, high = self.interval
        if self.num_items < MIN_ITEMS or low <= 0.5 <= high:
            return UNDECIDED
        return SIGMAS if low > 0.5 else FIGURE


@dataclass(frozen=True)
class Numbering:
    """The answer of the two tests on the annotations of one split."""

    split: str
    votes: tuple[Vote, ...]

    @property
    def answer(self) -> str:
        """The pair that a test speaks for and none against, else undecided."""
        answers = {vote.answer for vote in self.votes} - {UNDECIDED}
        return answers.pop() if len(answers) == 1 else UNDECIDED

    def to_json(self) -> dict[str, Any]:
        """Return the answer and its evidence for a JSON file."""
        votes = [
            vars(vote) | {"share": vote.share, "interval": vote.interval, "answer": vote.answer} for vote in self.votes
        ]
        return {"answer": self.answer, "split": self.split, "votes": votes}

    def lines(self) -> list[str]:
        """The answer in words, then a line of evidence for each test."""
        answer = {
            SIGMAS: "Landmarks 2 and 6 mirror each other, as the evaluator's sigmas have it.",
            FIGURE: "Landmarks 2 and 26 mirror each other, as the authors' figure has it: the flip pairs and "
            "the hand-made groups of this project are wrong for this category.",
            UNDECIDED: "Undecided: do landmarks 2 and 6 (sigmas) or 2 and 26 (figure) mirror each other?",
        }
        return [answer[self.answer], *(_evidence(vote, self.split) for vote in self.votes)]


def _evidence(vote: Vote, split: str) -> str:
    line = f"{vote.test}: {vote.num_for_sigmas} of {vote.num_items} frontal {split} items speak for 2 and 6"
    if vote.share is not None:
        low, high = vote.interval
        line += f" ({vote.share:.1%}, 95 % interval {low:.1%} to {high:.1%})"
    return f"{line}: {vote.answer}"


def settle_numbering(landmarks: np.ndarray, viewpoint: np.ndarray, *, split: str) -> Numbering:
    """Let the items vote.

    Args:
        landmarks: (N, 31, 3) x px, y px, visibility of short sleeve outwear.
        viewpoint: (N,) 1 no wear, 2 frontal, 3 side or back.
        split: where the items are from, for the text.
    """
    frontal = np.asarray(landmarks)[np.asarray(viewpoint) == FRONTAL]
    votes = []
    for test, numbers, margin in (
        ("height", (1, 2, 4, 6), _height_margin),
        ("mirror", (2, 4, 6, 7, 25, 26), _mirror_margin),
    ):
        points = frontal[:, np.array(numbers) - 1]
        points = points[(points[:, :, 2] > 0).all(axis=1), :, :2]
        margins = margin(*points.transpose(1, 0, 2))
        votes.append(Vote(test, int((margins != 0).sum()), int((margins > 0).sum())))
    return Numbering(split, tuple(votes))


def _height_margin(p1: np.ndarray, p2: np.ndarray, p4: np.ndarray, p6: np.ndarray) -> np.ndarray:
    """(N,) by how many px 2 is nearer to the height of 1 and 6 than 4 is; places are (N, 2)."""
    neck = (p1[:, 1] + p6[:, 1]) / 2
    return np.abs(p4[:, 1] - neck) - np.abs(p2[:, 1] - neck)


def _mirror_margin(
    p2: np.ndarray, p4: np.ndarray, p6: np.ndarray, p7: np.ndarray, p25: np.ndarray, p26: np.ndarray
) -> np.ndarray:
    """(N,) the scalar product of 26 -> 6 with the mirror image of 4 -> 2; places are (N, 2).

    With R the reflection, it is positive where |R p2 - p6|^2 + |R p4 - p26|^2 is the smaller sum of the two
    pairings, whatever the mirror's place.
    """
    normal = p25 - p7
    length = np.maximum((normal**2).sum(axis=1, keepdims=True), 1e-9)
    vector = p2 - p4
    mirrored = vector - 2 * (vector * normal).sum(axis=1, keepdims=True) / length * normal
    return (mirrored * (p6 - p26)).sum(axis=1)
