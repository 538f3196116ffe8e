"""The face detector on scenes whose eyes are known: several faces, none, a box by hand."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from hglib.checkpoint import WEIGHTS, load_model
from hglib.datasets.synthetic import draw_faces
from hglib.datasets.synthetic.collage import clutter, draw_collage
from hglib.datasets.synthetic.scenes import KINDS, draw_scene
from hglib.experiments import record
from hglib.experiments.scenes import match
from hglib.hourglass import Level
from hglib.photo import detect
from hglib.photo.crop import SIZE, Box, box_of_eyes, cut, to_photo
from hglib.photo.detect import FoundFace, Votes


@pytest.fixture(scope="module")
def model():
    torch.set_num_threads(1)
    return load_model(WEIGHTS / "lean.safetensors")


def off(faces, true):
    """Distance of each found pair to the nearest true one, in eye distances."""
    return [
        min(np.hypot(*(f.eyes - t).T).max() / math.dist(*t) for t in true)
        if len(true)
        else math.inf
        for f in faces
    ]


# ---- on drawn scenes, with the shipped network ----------------------------------------------


def test_every_face_of_a_scene_is_found_once(model):
    drawn = draw_collage((300, 400), sides=[170, 110, 90], seed=2)
    faces = detect.find_faces(model, drawn.image, smallest=70)
    assert len(faces) == 3
    assert max(off(faces, drawn.eyes)) < 0.12
    nearest = {int(np.argmin([abs(f.eyes - t).sum() for t in drawn.eyes])) for f in faces}
    assert nearest == {0, 1, 2}
    assert [f.support for f in faces] == sorted((f.support for f in faces), reverse=True)


def test_there_is_no_face_in_clutter(model):
    drawn = draw_collage((240, 320), sides=[], seed=5)
    assert detect.find_faces(model, drawn.image) == []


@pytest.mark.parametrize("tone", [0, 128, 255])
def test_there_is_no_face_on_a_wall(model, tone):
    assert detect.find_faces(model, np.full((200, 160), tone, np.uint8)) == []


def test_a_face_that_fills_the_image_is_found(model):
    drawn = draw_collage((96, 96), sides=[96], seed=3)
    (face,) = detect.find_faces(model, drawn.image)
    assert max(off([face], drawn.eyes)) < 0.1


def test_a_box_by_hand_finds_the_face_in_it_and_no_other(model):
    drawn = draw_collage((240, 400), sides=[150, 140], seed=8)
    for pair in drawn.eyes:
        box = box_of_eyes(pair)
        x, y = box.left + 10, box.top - 6  # drawn by hand: neither exact nor square
        face = detect.find_in_box(model, drawn.image, x, y, 0.9 * box.side, 1.1 * box.side)
        assert off([face], [pair])[0] < 0.2 and face.support > detect.ENOUGH


def test_a_box_without_a_face_has_little_support(model):
    drawn = draw_collage((240, 320), sides=[], seed=5)
    assert detect.find_in_box(model, drawn.image, 100, 60, 120, 120).support < detect.ENOUGH


def test_other_arrays_are_refused(model):
    for wrong in (np.zeros((200, 200, 3), np.uint8), np.zeros((200, 200))):
        with pytest.raises(ValueError, match=r"expected grey \(H, W\) uint8"):
            detect.find_faces(model, wrong)


# ---- the parts, without a trained network ---------------------------------------------------


@pytest.mark.parametrize("shape", [(480, 600), (96, 96), (1000, 300), (60, 2000)])
def test_windows_cover_the_photo_and_belong_to_their_boxes(shape):
    grey = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    for side in detect.window_sides(shape):
        images, boxes = detect.windows(grey, side)
        assert images.shape == (len(boxes), SIZE, SIZE)
        low, high = boxes[:, :2].min(axis=0), (boxes[:, :2] + side).max(axis=0)
        reach = detect.OVERHANG * side / SIZE - 1e-6
        assert (low <= -reach).all() and (high >= np.array(shape[::-1]) + reach).all()
        steps = np.diff(np.unique(boxes[:, 0].round(6)))
        assert np.allclose(steps, detect.STEP * side / SIZE)
        for n in (0, len(boxes) // 2, len(boxes) - 1):  # the same pixels as cutting one by one
            difference = abs(images[n].astype(int) - cut(grey, Box(*boxes[n])))
            assert np.median(difference) <= 1


def test_sides_go_down_to_the_smallest():
    sides = detect.window_sides((480, 600))
    assert sides[0] == 480 and 75 <= sides[-1] < 75 * detect.ZOOM
    assert np.allclose(np.array(sides[:-1]) / sides[1:], detect.ZOOM)
    assert detect.window_sides((480, 600), smallest=400) == [480]
    assert detect.window_sides((40, 40)) == [40]  # an image smaller than any window still has one


class Always(torch.nn.Module):
    """A network that answers with the same two window pixels, whatever it is shown."""

    activation, decoder = "softmax", "soft"

    def __init__(self, points):
        super().__init__()
        self.cells = torch.nn.Parameter((torch.tensor(points) + 0.5) / 2 - 0.5)

    def forward(self, x):
        rows, columns = torch.arange(48.0)[:, None], torch.arange(48.0)[None]
        maps = [-((columns - cx) ** 2 + (rows - cy) ** 2) / 0.5 for cx, cy in self.cells]
        return [Level(torch.stack(maps).expand(len(x), 2, 48, 48), 2, "softmax")]


def test_answers_come_in_photo_pixels():
    boxes = np.array([[0.0, 0, 96], [10, 20, 192]])
    votes = detect.ask(Always([[65.0, 37], [29, 37]]), np.zeros((2, 96, 96), np.uint8), boxes)
    np.testing.assert_allclose(votes.eyes[0], [[65, 37], [29, 37]], atol=0.06)
    expected = to_photo(np.array([[65.0, 37], [29, 37]]), Box(10, 20, 192))
    np.testing.assert_allclose(votes.eyes[1], expected, atol=0.12)
    assert votes.confidence.min() > 0.9


@pytest.mark.parametrize(
    "points",
    [[[29.0, 37], [65, 37]], [[50.0, 37], [45, 37]], [[95.0, 37], [1, 37]], [[60.0, 60], [30, 30]]],
    ids=["swapped", "too near", "too wide", "too steep"],
)
def test_impossible_pairs_do_not_count(points):
    boxes = np.array([[0.0, 0, 96]])
    votes = detect.ask(Always(points), np.zeros((1, 96, 96), np.uint8), boxes)
    assert votes.confidence.tolist() == [0]
    assert detect.gather(votes) == []


def test_a_network_that_always_says_the_same_finds_no_face():
    """Its answers move with the window, so no two windows agree: the heart of the method."""
    fixed = Always([[65.0, 37], [29, 37]])
    assert detect.find_faces(fixed, np.zeros((200, 300), np.uint8)) == []


def test_gather_adds_up_what_agrees():
    pair, other = np.array([[60.0, 30], [20, 30]]), np.array([[160.0, 90], [120, 92]])
    jitter = np.random.default_rng(0).normal(0, 1, (5, 2, 2))
    eyes = np.concatenate([pair + jitter[:3], other + jitter[3:], [pair + 15]])
    sure = np.array([0.9, 0.8, 0.7, 1.0, 0.5, 0.1])
    pairs = detect.gather(Votes(eyes, sure, np.zeros((6, 3))))
    assert [round(total, 6) for total, _ in pairs] == [2.4, 1.5]
    np.testing.assert_allclose(pairs[0][1], np.median(eyes[:3], axis=0))
    np.testing.assert_allclose(pairs[1][1], eyes[3:5].mean(axis=0))


def face(x, y, support, distance=40.0):
    eyes = np.array([[x + distance / 2, y], [x - distance / 2, y]])
    return FoundFace(eyes, box_of_eyes(eyes), support)


def test_of_two_finds_in_one_place_the_better_is_kept():
    faces = [face(100, 100, 0.6), face(110, 105, 0.8), face(190, 100, 0.5), face(100, 95, 0.7, 15)]
    kept = detect.nms(faces)
    assert [f.support for f in kept] == [0.8, 0.5]


def test_crops_around_a_pair_hold_it():
    """Moved or enlarged, the middle of the eyes stays within `reach` of where it is expected."""
    eyes = np.array([[240.0, 100], [180, 104]])
    seen = []

    class Watch(Always):
        def forward(self, x):
            seen.append(len(x))
            return super().forward(x)

    fixed = Watch([[65.0, 37], [29, 37]])
    votes = detect.ask_around(fixed, np.zeros((200, 300), np.uint8), eyes, 20, (0.8, 1.25))
    assert sum(seen) == len(votes.boxes) == 18
    scale = box_of_eyes(eyes).side / SIZE
    middles = votes.eyes.mean(axis=1) - eyes.mean(axis=0)  # the network's own middle is (47, 37)
    assert abs(middles).max() <= 20 * scale + 0.5 * scale * 1.25
    assert {round(b) for b in votes.boxes[:, 2] / scale / SIZE * 100} == {80, 125}


# ---- the measurement ------------------------------------------------------------------------


def test_match_counts_each_face_once():
    true = np.stack([face(100, 100, 1).eyes, face(300, 100, 1).eyes])
    found = [face(101, 100, 0.9), face(100, 101, 0.8), face(200, 50, 0.7)]
    errors, false = match(found, true)
    assert errors[0] == pytest.approx(1 / 40) and np.isnan(errors[1])
    assert false == [1, 2]


def test_scenes_are_what_their_kind_says():
    upright, none, turned = (draw_scene(kind, 0) for kind in KINDS)
    assert len(upright.eyes) >= 1 and len(none.eyes) == 0 and len(turned.eyes) >= 1
    assert upright.image.shape == (480, 600) and turned.image.shape == (600, 480)
    across, down = np.moveaxis(upright.eyes[:, 0] - upright.eyes[:, 1], -1, 0)
    assert (across > abs(down)).all()
    across, down = np.moveaxis(turned.eyes[:, 0] - turned.eyes[:, 1], -1, 0)
    assert (abs(down) > abs(across)).all()


def test_saved_results_were_measured_with_this_threshold():
    saved = record.read("scenes")
    assert saved.about["enough"] == detect.ENOUGH and list(saved.figures) == list(KINDS)
    for row in saved.figures.values():
        assert 0 <= row["found"] <= row["faces"]
        assert (row["most_support_of_no_face"] < detect.ENOUGH) == (row["false"] == 0)


# ---- however a photo is held ----------------------------------------------------------------


def turned(image, eyes, turn):
    """A photo turned clockwise by quarters, and its eyes: by numpy, not by angles."""
    eyes = eyes.copy()
    for _ in range(turn // 90):
        height = image.shape[0]
        image = np.rot90(image, -1)
        eyes = np.stack([height - 1 - eyes[..., 1], eyes[..., 0]], axis=-1)
    return np.ascontiguousarray(image), eyes


@pytest.mark.parametrize("seed, turn", [(12, 90), (12, 180), (5, 180), (3, 270)])
def test_a_turned_photo_gives_the_subjects_left_eye_first(model, seed, turn):
    scene = draw_collage((120, 140), sides=[96], seed=seed)
    image, eyes = turned(scene.image, scene.eyes, turn)
    said = []
    (face,) = detect.search_faces(model, image, say=said.append)[:1]
    assert abs(face.eyes - eyes[0]).max() < 0.15 * 36  # px; exchanged eyes are 36 apart
    assert (face.turn + turn) % 360 == 0
    assert any(f"turning the photo by {face.turn} degrees" in line for line in said)


def test_a_face_on_a_slant_is_found(model):
    scene = draw_collage((120, 140), sides=[96], seed=12)
    image = Image.fromarray(scene.image).rotate(45, Image.Resampling.BILINEAR, expand=True)
    (face,) = detect.search_faces(model, np.asarray(image), smallest=48)[:1]
    middle = (np.array(image.size) - 1) / 2 + (
        (scene.eyes[0] - (np.array(scene.image.shape[::-1]) - 1) / 2)
        @ (np.array([[1, -1], [1, 1]]) / 2**0.5)
    )
    assert abs(face.eyes - middle).max() < 0.2 * 36 and face.turn == 45


def test_nine_small_faces_are_found_without_an_option(model):
    """A group photo: every face is a tenth of the side."""
    faces, photo, eyes = (
        draw_faces(range(9)),
        clutter((900, 900), np.random.default_rng(0)).clip(0, 255).astype(np.uint8),
        [],
    )
    for number, (image, points) in enumerate(zip(faces.images, faces.points, strict=True)):
        y, x = (90 + 300 * place for place in divmod(number, 3))
        photo[y : y + 80, x : x + 80] = cut(image, Box(0, 0, 96), 80)
        eyes.append((points[:2] + 0.5) * 80 / 96 - 0.5 + [x, y])
    said = []
    found = detect.search_faces(model, photo, say=said.append)
    near = [any(abs(f.eyes - pair).max() < 10 for f in found) for pair in eyes]
    assert all(near) and len(found) <= 10 and said


def test_a_negative_and_an_even_grey_are_named(model):
    scene = draw_collage((120, 140), sides=[96], seed=12)
    said = []
    (face,) = detect.search_faces(model, 255 - scene.image, 48, said.append)
    assert abs(face.eyes - scene.eyes[0]).max() < 0.15 * 36 and "a negative" in said[-1]
    said.clear()
    assert detect.search_faces(model, np.full((90, 90), 77, np.uint8), say=said.append) == []
    assert "one even grey" in said[0]


@pytest.mark.parametrize("smallest", [0, -5, 1, 1e-300, float("nan"), float("inf")])
def test_a_smallest_face_that_cannot_be_is_refused(model, smallest):
    with pytest.raises(ValueError, match="smallest="):
        detect.search_faces(model, np.eye(96, dtype=np.uint8), smallest)


def test_more_windows_than_a_minute_holds_are_refused(model):
    with pytest.raises(ValueError, match="windows of a photo of 9000 x 9000 px"):
        detect.search_faces(model, np.arange(81_000_000, dtype=np.uint8).reshape(9000, 9000), 24)


@pytest.mark.parametrize("box", [(0, 0, 1e5, 1e5), (900, 900, 9, 9), (-50, 5, 20, 20)])
def test_a_box_outside_the_photo_is_refused(model, box):
    with pytest.raises(ValueError, match="does not lie in the photo"):
        detect.find_in_box(model, np.eye(96, dtype=np.uint8), *box)
