"""kps.likeness.homogeneity: against a map, cue by cue, and on other samples of the data."""

import numpy as np
import pytest
from homogeneity_garments import make_garments
from scipy.stats import mannwhitneyu

from kps.aggregation import Aggregation
from kps.likeness.cues import CROSS_PAIRS, cue
from kps.likeness.homogeneity import (
    WEIGHTS,
    Homogeneity,
    fuse,
    leave_one_out,
    measure,
    resampled,
    separation,
    split_half,
)
from kps.schema import NUM_LANDMARKS

SQUARE = (NUM_LANDMARKS, NUM_LANDMARKS)


def apart(aggregation):
    return (aggregation.group[:, None] != aggregation.group).astype(float)


def test_separation_is_perfect_for_its_own_map_and_unknown_for_none():
    hand = Aggregation.named("hand81")
    assert separation(apart(hand), hand) == 1.0
    assert separation(1 - apart(hand), hand) == 0.0
    noise = np.random.default_rng(0).random(SQUARE)
    assert separation(noise, hand) == pytest.approx(0.5, abs=0.05)
    assert np.isnan(separation(apart(hand), Aggregation.named("identity")))


def test_separation_takes_labels_of_any_kind():
    hand = Aggregation.named("hand81")
    names = np.array([f"part {group}" for group in hand.group])
    noise = np.random.default_rng(0).random(SQUARE)
    assert separation(noise, names) == separation(noise, hand)


def test_separation_is_the_area_under_the_roc_curve():
    hand, distance = Aggregation.named("hand81"), np.random.default_rng(1).random(SQUARE).round(1)
    row, column = CROSS_PAIRS
    merged = hand.group[row] == hand.group[column]
    likeness = -distance[row, column]
    wins = mannwhitneyu(likeness[merged], likeness[~merged]).statistic
    assert separation(distance, hand) == pytest.approx(wins / merged.sum() / (~merged).sum())


def test_leaving_out_the_only_good_cue_costs_everything(tmp_path):
    hand = Aggregation.named("hand81")
    shapes = measure(make_garments(tmp_path)).shapes
    noise = cue("sigma", np.random.default_rng(0).random(SQUARE), "noise")
    cues = {"position": cue("position", apart(hand), "the map itself"), "sigma": noise}
    measured = Homogeneity(shapes, cues, WEIGHTS, fuse(cues, WEIGHTS))
    gain = leave_one_out(measured, lambda distance: separation(distance, hand))
    assert gain["position"] > 0.4 and abs(gain["sigma"]) < 0.1


def test_a_bootstrap_sample_draws_photos_with_all_their_garments(tmp_path):
    garments = make_garments(tmp_path, each=20)
    garments.image_id[:] = np.arange(len(garments)) // 2  # two garments a photo
    sample = resampled(garments, 3)
    ids, times = np.unique(sample.annotation_id, return_counts=True)
    of_photo = dict(zip(ids.tolist(), times.tolist(), strict=True))
    first, second = garments.annotation_id[::2], garments.annotation_id[1::2]
    assert all(of_photo.get(a) == of_photo.get(b) for a, b in zip(first.tolist(), second.tolist(), strict=True))
    assert len(sample) == len(garments) and times.max() > 1 and len(ids) < len(garments)
    assert (resampled(garments, 3).annotation_id == sample.annotation_id).all()
    assert not np.array_equal(resampled(garments, 4).annotation_id, sample.annotation_id)


def test_two_halves_of_clean_data_agree(tmp_path):
    garments = make_garments(tmp_path, each=12, noise=0.02)
    assert split_half(garments, seed=1) > 0.9
    assert split_half(garments, seed=1) == split_half(garments, seed=1)
    assert np.isnan(split_half(garments.take(np.array([0]))))
