"""Faces followed through frames: the filter against a slow one, numbers kept, eyes in place."""

import math

import numpy as np
import pytest
import torch
from films import errors, film

import hglib
from hglib.checkpoint import pretrained
from hglib.photo import video
from hglib.photo.video import AGAIN, PATIENCE, Follower, OneEuro

RATE = 30  # frames per second


# ---- the filter -----------------------------------------------------------------------------


class LowPass:
    """Exponential smoothing of one number, as the paper's appendix writes it."""

    def __init__(self):
        self.hat = None

    def filter(self, x, alpha):
        self.hat = x if self.hat is None else alpha * x + (1 - alpha) * self.hat
        return self.hat


def slow(values, times, min_cutoff, beta, d_cutoff):
    """Algorithm 1 of Casiez et al., one coordinate, one value after the other."""
    position, speed, out, before = LowPass(), LowPass(), [], None
    for x, time in zip(values, times, strict=True):
        rate = None if before is None else 1 / (time - before)
        dx = 0.0 if before is None else (x - position.hat) * rate

        def alpha(cutoff, rate=rate):
            return 1.0 if rate is None else 1 / (1 + rate / (2 * math.pi * cutoff))

        edx = speed.filter(dx, alpha(d_cutoff))
        out.append(position.filter(x, alpha(min_cutoff + beta * abs(edx))))
        before = time
    return out


def run(steady, values, times):
    return np.array([steady(x, t) for x, t in zip(values, times, strict=True)])


@pytest.mark.parametrize("settings", [(1, 0, 1), (0.5, 0.03, 2), (4, 1, 0.7)])
def test_the_filter_is_the_slow_one_on_every_coordinate(settings):
    rng = np.random.default_rng(0)
    values = rng.normal(0, 3, (40, 2, 2)).cumsum(axis=0)
    times = rng.uniform(0.01, 0.1, 40).cumsum()  # a phone's frames come unevenly
    found = run(OneEuro(*settings), values, times)
    for i in range(2):
        for k in range(2):
            np.testing.assert_allclose(found[:, i, k], slow(values[:, i, k], times, *settings))


def test_what_stands_still_is_not_changed():
    still = np.full((20, 2, 2), 41.7)
    assert (run(OneEuro(0.3, 2.0), still, np.arange(20) / RATE) == still).all()


@pytest.mark.parametrize("cutoff", [0.5, 1, 3])
def test_a_straight_motion_lags_by_the_time_that_the_docstring_says(cutoff):
    times = np.arange(600) / RATE
    late = 90 * times - run(OneEuro(cutoff), 90 * times, times)  # px, at 90 px/s
    assert late[-1] / 90 == pytest.approx(1 / (2 * math.pi * cutoff), rel=1e-6)


def test_a_large_beta_follows_and_steadies_less():
    rng = np.random.default_rng(1)
    times = np.arange(300) / RATE
    noise = rng.normal(0, 0.1, 300)
    lags, jitters = [], []
    for beta in (0.0, 0.1, 10.0):
        lags.append(abs(90 * times - run(OneEuro(1, beta), 90 * times, times))[-1])
        jitters.append(run(OneEuro(1, beta), noise, times).std())
    assert lags[0] > 5 * lags[1] > 50 * lags[2] and lags[2] < 0.05
    assert jitters[0] < jitters[1] < jitters[2] < noise.std()


def test_what_is_returned_is_not_what_is_kept():
    steady = OneEuro()
    steady(np.zeros(2), 0)[:] = 99
    assert (steady(np.zeros(2), 0.1) == 0).all()


@pytest.mark.parametrize("settings", [(0, 0, 1), (1, -1, 1), (1, 0, 0), (math.nan, 0, 1)])
def test_settings_without_meaning_are_refused(settings):
    with pytest.raises(ValueError, match="the cutoffs are above 0"):
        OneEuro(*settings)


# ---- following ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model():
    torch.set_num_threads(1)
    return hglib.load_model(pretrained()["lean"])


@pytest.fixture
def searches(monkeypatch):
    """The list of searches of the whole frame that were made."""
    made, real = [], video.find_faces

    def counted(*arguments):
        made.append(1)
        return real(*arguments)

    monkeypatch.setattr(video, "find_faces", counted)
    return made


def test_a_moving_face_is_followed_after_one_search(model, searches):
    frames, true = film([240], seed=5, count=10, shift=2.0)
    follower = Follower(model)
    for n, frame in enumerate(frames):
        (one,) = follower.step(frame, n / RATE)
        assert one.face == 0 and one.confidence > 0.5
        assert errors(one.eyes, true[n, 0]) < 0.1
        assert errors(one.steady, true[n, 0]) < 0.2
    assert len(searches) == 1


def test_two_faces_keep_their_numbers_and_one_its_number_when_it_was_hidden(model):
    frames, true = film([220, 200], seed=20, count=12, size=(200, 320))
    x, y = (round(v) for v in true[0, 1].mean(axis=0))
    for n in range(4, 8):  # a hand before the second face
        frames[n, max(0, y - 45) : y + 60, max(0, x - 60) : x + 60] = 128
    follower, by_frame = Follower(model), []
    for n, frame in enumerate(frames):
        by_frame.append({one.face: one for one in follower.step(frame, n / 10)})
    places = {k: int(errors(by_frame[0][k].eyes, true[0, 1]) < 0.1) for k in (0, 1)}
    assert sorted(places.values()) == [0, 1]
    for n, faces in enumerate(by_frame):
        for number, one in faces.items():
            assert number in places and errors(one.eyes, true[n, places[number]]) < 0.15
    hidden = next(k for k, v in places.items() if v)
    assert [n for n, faces in enumerate(by_frame) if hidden not in faces] == [4, 5, 6, 7]


def test_a_face_that_was_away_for_long_gets_a_new_number(model, searches):
    frames, _ = film([240], seed=5, count=2)
    wall = np.full_like(frames[0], 90)
    follower = Follower(model)
    assert [one.face for one in follower.step(frames[0], 0)] == [0]
    times = [0.1, 0.3, 0.4, 0.45, 0.6]
    assert all(follower.step(wall, time) == [] for time in times)
    assert len(searches) == 2  # at 0 and at .6: not with every empty frame
    assert [one.face for one in follower.step(frames[1], 0.6 + PATIENCE)] == [1]


def test_somebody_who_comes_in_is_seen(model):
    frames, true = film([220, 200], seed=20, count=1, size=(200, 320))
    alone = frames[0].copy()
    x, y = (round(v) for v in true[0, 1].mean(axis=0))
    alone[max(0, y - 45) : y + 60, max(0, x - 60) : x + 60] = 128
    follower = Follower(model)
    assert len(follower.step(alone, 0)) == 1
    assert len(follower.step(frames[0], AGAIN - 0.1)) == 1
    assert [one.face for one in follower.step(frames[0], AGAIN)] == [0, 1]


def test_two_numbers_never_stay_on_one_face(model):
    frames, _ = film([240], seed=5, count=1)
    follower = Follower(model)
    (one,) = follower.step(frames[0], 0)
    follower.tracks.append(video._Track(7, one.eyes + 1, 0))
    assert [seen.face for seen in follower.step(frames[0], 0.1)] == [0]
    follower.step(frames[0], 0.1 + PATIENCE)
    assert [track.face for track in follower.tracks] == [0]


def test_a_still_face_trembles_less_when_it_is_steadied(model):
    frames, _ = film([240], seed=5, count=24, shift=0.0)
    noise = np.random.default_rng(0).normal(0, 3, frames.shape)
    noisy = np.rint(frames + noise).clip(0, 255).astype(np.uint8)
    follower = Follower(model)
    seen = [follower.step(frame, n / RATE)[0] for n, frame in enumerate(noisy)][8:]  # settled
    raw, steady = (np.std([getattr(s, k) for s in seen], axis=0) for k in ("eyes", "steady"))
    assert (steady < 0.6 * raw).all() and raw.max() < 0.5  # px
