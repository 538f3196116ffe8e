"""Films of synthetic faces, for the tests of videos."""

import numpy as np

from hglib.datasets.synthetic.collage import draw_collage
from hglib.photo.crop import resample


def film(sides, seed, count, shift=1.0, size=(200, 300)):
    """Frames (N, H, W) that a camera sees which moves to the right, and the eyes in them (N, F,
    2, 2): a large scene, shrunk to half its size, moved by `shift` pixels of the frame."""
    scene = draw_collage((2 * size[0], 2 * size[1] + 200), sides=sides, seed=seed)
    corners = [np.array([2.0 * shift * n, 0.0]) for n in range(count)]
    frames = [resample(scene.image, tuple(c), 2.0, size[::-1]) for c in corners]
    return np.stack(frames), np.stack([(scene.eyes + 0.5 - c) / 2 - 0.5 for c in corners])


def errors(seen, true):
    """The largest error of both eyes, in eye distances."""
    apart = np.hypot(*(true[0] - true[1]))
    return np.hypot(*(seen - true).T).max() / apart
