"""Groups of near-duplicates, and a split that cuts none."""

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from kaggle_files import noise

from hglib.data import EYES, Faces
from hglib.datasets import load
from hglib.datasets import split as module
from hglib.datasets.split import duplicate_groups, split


def faces_of(images, rows=None):
    points = np.full((len(images), 2, 2), 40, np.float32)
    rows = np.arange(len(images)) if rows is None else rows
    return Faces(images, points, EYES, rows, "test")


# --- groups ------------------------------------------------------------------------------------


def smooth(count, seed=0):
    """Images of 32x32 cells, so that a thumbnail keeps all there is."""
    cells = np.random.default_rng(seed).integers(20, 200, (count, 32, 32))
    return np.kron(cells, np.ones((3, 3))).astype(np.uint8)


def groups_by_definition(images, threshold):
    """Slow: numpy's correlation of every pair of mean thumbnails, then a walk along the links."""
    thumbnails = images.reshape(-1, 32, 3, 32, 3).mean(axis=(2, 4)).reshape(len(images), -1)
    near = np.corrcoef(thumbnails) > threshold
    groups = np.full(len(images), -1)
    for first in range(len(images)):
        waiting = [first] if groups[first] < 0 else []
        while waiting:
            member = waiting.pop()
            groups[member] = first
            waiting += [other for other in np.flatnonzero(near[member]) if groups[other] < 0]
    return groups


@pytest.mark.parametrize("threshold", [0.5, 0.96])
def test_groups_agree_with_the_definition(threshold):
    rng = np.random.default_rng(5)
    base = smooth(40).astype(float)
    weight = rng.uniform(0.6, 1, (600, 1, 1))  # more than one block of 512
    mixed = weight * base[rng.integers(0, 40, 600)] + (1 - weight) * smooth(600, seed=6)
    images = mixed.round().astype(np.uint8)
    expected = groups_by_definition(images, threshold)
    sizes = np.bincount(expected)
    assert 40 <= (sizes > 0).sum() < 600 and sizes.max() > 5  # neither all alone nor all together
    assert duplicate_groups(images, threshold).tolist() == expected.tolist()


def test_groups_join_through_a_third_image():
    one, other = smooth(2).astype(float)
    chain = [np.uint8((1 - w) * one + w * other) for w in np.linspace(0, 1, 12)]
    shuffled = np.stack([chain[i] for i in (11, 0, 10, 1, 9, 2, 8, 3, 7, 4, 6, 5)])
    assert duplicate_groups(shuffled[:2]).tolist() == [0, 1]  # the ends are not alike
    assert duplicate_groups(shuffled).tolist() == [0] * 12


def test_a_group_carries_the_number_of_its_first_image():
    images = smooth(4)[[2, 0, 2, 1, 0, 3]]
    brighter = images // 2 + 30  # correlation ignores brightness and contrast
    assert duplicate_groups(images).tolist() == [0, 1, 0, 3, 1, 5]
    assert duplicate_groups(np.concatenate([images, brighter]))[6:].tolist() == [0, 1, 0, 3, 1, 5]


def test_even_images_are_a_group_of_their_own():
    images = smooth(4)
    images[1], images[3] = 0, 200
    with np.errstate(all="raise"):
        assert duplicate_groups(images).tolist() == [0, 1, 2, 1]


def test_the_sums_are_whole_numbers_so_their_order_cannot_matter():
    images = np.full((2, 96, 96), 255, np.uint8)  # the largest sums there are
    images[1, :48] = 0
    cells = module._thumbnails(images)
    assert cells.shape == (2, 1024) and cells.max() == 9 * 255
    block_sums = images.astype(int).reshape(2, 32, 3, 32, 3).sum(axis=(2, 4)).reshape(2, -1)
    assert np.array_equal(cells, block_sums)
    for size in (20, 127, 400, 1000):
        cells = module._thumbnails(np.full((1, size, size), 255, np.uint8))
        assert np.array_equal(cells, np.rint(cells)) and cells.max() == 9 * 255
        assert cells.shape[1] * int((cells**2).sum()) < 2**53  # the largest number on the way


@pytest.mark.parametrize(("height", "width"), [(20, 20), (100, 130), (200, 96)])
def test_groups_of_images_of_another_size(height, width):
    images = np.random.default_rng(0).integers(0, 200, (3, height, width)).astype(np.uint8)
    assert duplicate_groups(images[[0, 1, 0, 2]]).tolist() == [0, 1, 0, 3]


def test_an_order_of_the_rows_changes_the_names_of_groups_only():
    images = smooth(30)[np.random.default_rng(1).integers(0, 30, 60)]
    shuffle = np.random.default_rng(2).permutation(60)
    together = np.equal.outer(*[duplicate_groups(images)] * 2)
    shuffled = np.equal.outer(*[duplicate_groups(images[shuffle])] * 2)
    assert np.array_equal(together[np.ix_(shuffle, shuffle)], shuffled)


def test_groups_refuse_other_input():
    with pytest.raises(ValueError, match="float64"):
        duplicate_groups(np.zeros((2, 96, 96)))
    with pytest.raises(ValueError, match=r"\(96, 96\)"):
        duplicate_groups(np.zeros((96, 96), np.uint8))
    for threshold in (1.0, -0.1):
        with pytest.raises(ValueError, match=f"threshold {threshold}"):
            duplicate_groups(noise(2), threshold)


# --- split -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many():
    """600 faces, a third of them copies of others."""
    copies = np.random.default_rng(3).integers(0, 400, 200)
    return faces_of(smooth(400)[np.concatenate([np.arange(400), copies])])


def test_a_split_holds_every_face_once_in_its_shares(many, capsys):
    parts = split(many)
    assert parts._fields == ("train", "validation", "test")
    rows = np.concatenate([part.rows for part in parts])
    assert sorted(rows.tolist()) == list(range(600))
    # Five standard deviations of a binomial over 400 groups, scaled to faces.
    for part, share in zip(parts, (0.8, 0.1, 0.1), strict=True):
        assert abs(len(part) / 600 - share) < 5 * np.sqrt(share * (1 - share) / 400)
    assert capsys.readouterr().out == ""


def test_a_split_cuts_no_group(many):
    groups = duplicate_groups(many.images)
    assert len(np.unique(groups)) == 400
    seen = [set(groups[part.rows].tolist()) for part in split(many)]
    assert not seen[0] & seen[1] and not seen[0] & seen[2] and not seen[1] & seen[2]


def test_each_face_stays_where_it_is_when_others_come_or_the_order_changes(many):
    where = {row: number for number, part in enumerate(split(many)) for row in part.rows.tolist()}
    for some in (many[:450], many[np.random.default_rng(0).permutation(600)]):
        for number, part in enumerate(split(some)):
            assert {where[row] for row in part.rows.tolist()} == {number}


def test_the_smallest_source_row_decides_for_the_group():
    images = smooth(40)
    rows = np.arange(100, 140)
    before = split(faces_of(images, rows))
    where = {row: number for number, part in enumerate(before) for row in part.rows.tolist()}
    # Every image once more, with larger rows and standing first: all follow their originals.
    twice = faces_of(np.concatenate([images, images]), np.concatenate([rows + 1000, rows]))
    for number, part in enumerate(split(twice)):
        assert {where[row % 1000] for row in part.rows.tolist()} == {number}


def test_a_split_is_the_same_in_another_process():
    code = "from hglib.datasets.split import _place as p; "
    code += "print([p(s, r) for s in (0, 1) for r in range(50)])"
    places = [module._place(seed, row) for seed in (0, 1) for row in range(50)]
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        run = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            cwd=Path(module.__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.strip() == str(places)


def test_places_are_uniform_and_seeds_independent():
    first, second = (np.array([module._place(s, r) for r in range(20000)]) for s in (0, 1))
    for places in (first, second):
        assert places.min() >= 0 and places.max() < 1
        # Kolmogorov-Smirnov: 1.95 / sqrt(n) is exceeded once in a thousand.
        assert np.abs(np.sort(places) - (np.arange(20000) + 0.5) / 20000).max() < 1.95 / 20000**0.5
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / 20000**0.5
    both = ((first > 0.9) & (second > 0.9)).mean()
    assert abs(both - 0.01) < 4 * (0.01 * 0.99 / 20000) ** 0.5


def test_fractions_and_seed(many):
    halves = split(many, (0.5, 0.0, 0.5))
    assert len(halves.validation) == 0 and 200 < len(halves.train) < 400
    assert split(many, seed=1).test.rows.tolist() != split(many, seed=0).test.rows.tolist()
    nan = float("nan")
    wrong = ((0.8, 0.1), (0.8, 0.1, 0.105), (0.8, 0.1, 0.095), (1.2, -0.1, -0.1), (nan, 0.5, 0.5))
    for fractions in wrong:
        with pytest.raises(ValueError, match="fractions=") as caught:
            split(many, fractions)
        assert str(fractions) in str(caught.value)


@pytest.mark.parametrize("fractions", [(0.8, 0.1, 0.1), (0.98, 0.01, 0.01), (0.5, 0.0, 0.5)])
@pytest.mark.parametrize("count", [3, 4, 5, 8])
def test_every_part_of_a_small_set_has_a_face(count, fractions):
    """And only a part that would be empty takes one from where the hash had put it."""
    images = smooth(count)
    for seed in range(20):
        parts = split(faces_of(images[[*range(count), 0]]), fractions, seed)
        assert [len(part) > 0 for part in parts] == [share > 0 for share in fractions]
        assert sum(map(len, parts)) == count + 1
        assert any({0, count} <= set(part.rows.tolist()) for part in parts)
        edges = np.cumsum(fractions)
        hashed = [int((module._place(seed, row) >= edges[:2]).sum()) for row in range(count)]
        given = [next(n for n in range(3) if row in parts[n].rows) for row in range(count)]
        moved = sum(a != b for a, b in zip(hashed, given, strict=True))
        assert moved == sum(share > 0 and n not in hashed for n, share in enumerate(fractions))


def test_fewer_groups_than_parts_are_refused():
    for rows in ([0, 0, 0], [0, 1, 1]):
        with pytest.raises(ValueError, match="groups of near-duplicates are too few for 3 parts"):
            split(faces_of(smooth(2)[rows]))
    assert len(split(faces_of(smooth(2)), (0.5, 0.0, 0.5)).test) == 1


def test_a_place_on_an_edge_belongs_to_the_next_part(monkeypatch):
    monkeypatch.setattr(module, "_place", lambda seed, row: (0.0, 0.25, 0.5, 0.75)[row])
    parts = split(faces_of(smooth(4)), (0.25, 0.25, 0.5))
    assert [part.rows.tolist() for part in parts] == [[0], [1], [2, 3]]


# --- the real data -----------------------------------------------------------------------------


def test_the_real_data_has_its_known_copies_in_one_part(real_data_folder, monkeypatch):
    faces = load(real_data_folder)
    groups = duplicate_groups(faces.images)
    monkeypatch.setattr(module, "duplicate_groups", lambda images: groups)  # once takes 2 s
    assert 6240 <= len(np.unique(groups)) <= 6255  # grey levels after JPEG vary with the decoder
    same_pixels = defaultdict(list)
    for row, image in enumerate(faces.images):
        same_pixels[image.tobytes()].append(row)
    copied = [rows for rows in same_pixels.values() if len(rows) > 1]
    assert len(copied) == 543 and sum(map(len, copied)) - len(copied) == 555
    part_of = np.empty(7049, int)
    for number, part in enumerate(split(faces)):
        part_of[part.rows] = number
    for rows in copied:
        assert len(set(part_of[rows].tolist())) == 1
    assert np.bincount(part_of) / 7049 == pytest.approx([0.8, 0.1, 0.1], abs=0.02)
