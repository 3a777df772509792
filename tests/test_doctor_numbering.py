"""kps.data.checks: garments drawn under either numbering are told apart, and few are not enough."""

import numpy as np
import pytest

from kps.data.checks import FIGURE, FRONTAL, SIGMAS, UNDECIDED, Vote, settle_numbering

# Places of a garment's landmarks, left ones; a right one mirrors its left one at x = 0.
NECK, FRONT, SHOULDER, BACK = (-30, 100), (-8, 150), (-70, 120), (0, 95)


def make_garments(answer: str, *, count: int = 40, tilt: float = 0.2, seed: int = 0) -> np.ndarray:
    """(count, 31, 3) short sleeve outwear, each turned by up to `tilt` rad, moved, scaled and inaccurate."""
    rng = np.random.default_rng(seed)
    neck, front = (2, 4) if answer == SIGMAS else (4, 2)
    places = np.zeros((31, 2))
    for left, right, place in ((neck, 6, NECK), (front, 26, FRONT), (7, 25, SHOULDER)):
        places[left - 1], places[right - 1] = place, (-place[0], place[1])
    places[0] = BACK
    garments = np.zeros((count, 31, 3))
    for garment in garments:
        angle = rng.uniform(-tilt, tilt)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        garment[:, :2] = rng.uniform(0.5, 2) * places @ turn.T + rng.uniform(0, 300, 2)
        garment[:, :2] += rng.normal(0, 4, (31, 2))
    garments[:, :, 2] = rng.integers(1, 3, (count, 31))
    return garments


def settle(garments: np.ndarray, viewpoint: int = FRONTAL):
    return settle_numbering(garments, np.full(len(garments), viewpoint), split="train")


@pytest.mark.parametrize(("answer", "words"), [(SIGMAS, "sigmas have it"), (FIGURE, "figure has it")])
def test_either_numbering_is_recognised(answer: str, words: str) -> None:
    numbering = settle(make_garments(answer))
    assert numbering.answer == answer
    assert [vote.answer for vote in numbering.votes] == [answer, answer]
    assert [vote.num_items for vote in numbering.votes] == [40, 40]
    lines = numbering.lines()
    assert words in lines[0] and len(lines) == 3
    assert all("of 40 frontal train items" in line and "95 % interval" in line for line in lines[1:])
    assert numbering.to_json()["votes"][0]["share"] == numbering.votes[0].share


@pytest.mark.parametrize("answer", [SIGMAS, FIGURE])
def test_the_mirror_test_holds_for_garments_lying_on_their_side(answer: str) -> None:
    _, mirror = settle(make_garments(answer, tilt=np.pi)).votes
    assert mirror.answer == answer and mirror.share in (0, 1)


def test_a_mixture_and_too_few_are_undecided() -> None:
    mixed = np.concatenate([make_garments(SIGMAS, count=30), make_garments(FIGURE, count=30)])
    assert settle(mixed).answer == UNDECIDED and settle(mixed).lines()[0].startswith("Undecided")
    assert settle(make_garments(SIGMAS, count=9)).answer == UNDECIDED
    assert settle(make_garments(SIGMAS, count=10)).answer == SIGMAS


def test_only_frontal_items_with_the_landmarks_vote() -> None:
    garments = make_garments(SIGMAS)
    garments[:5, 0, 2] = 0  # landmark 1: of the height test alone
    garments[5:7, 24, 2] = 0  # landmark 25: of the mirror test alone
    assert [vote.num_items for vote in settle(garments).votes] == [35, 38]
    nobody = settle(garments, viewpoint=3)
    assert nobody.answer == UNDECIDED and "0 of 0" in nobody.lines()[1]


def test_tests_that_contradict_each_other_decide_nothing() -> None:
    garments = make_garments(SIGMAS)
    garments[:, [1, 3], 1] = garments[:, [3, 1], 1]  # heights exchanged, left and right kept
    garments[:, [1, 5, 3, 25], 0] += np.array([-400, 400, 400, -400])
    numbering = settle(garments)
    assert {vote.answer for vote in numbering.votes} == {SIGMAS, FIGURE}
    assert numbering.answer == UNDECIDED


def test_the_interval_is_wilsons() -> None:
    low, high = Vote("height", 20, 15).interval
    z, n, p = 1.959964, 20, 0.75
    centre, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert np.allclose([low, high], [(centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)])
    assert Vote("height", 20, 14).answer == UNDECIDED and Vote("height", 20, 15).answer == SIGMAS
