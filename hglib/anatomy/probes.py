"""Images that put a network to the test: an eye hidden, every eye shown twice.

Notebook 09 uses them. Points are (x, y) in pixels, 0-based.
"""

from __future__ import annotations

import numpy as np

PATCH, MOVED = 21, (16, 8)  # px: the side of what hides an eye; how far apart two exposures lie


def hide(images: np.ndarray, centres: np.ndarray, side: int = PATCH) -> np.ndarray:
    """A copy of (N, H, W) with a square of each image's mean grey around its centre (N, 2)."""
    images, half = images.copy(), side // 2
    for image, (x, y) in zip(images, centres.round().astype(int), strict=True):
        image[max(0, y - half) : y + half + 1, max(0, x - half) : x + half + 1] = image.mean()
    return images


def expose_twice(images: np.ndarray) -> np.ndarray:
    """The mean of two copies of images (N, H, W), half of `MOVED` to either side of their place."""
    (dx, dy), (_, height, width) = np.array(MOVED) // 2, images.shape
    wide = np.pad(images.astype(int), ((0, 0), (dy, dy), (dx, dx)), "edge")
    copies = wide[:, 2 * dy :, 2 * dx :] + wide[:, :height, :width]  # to the left, to the right
    return (copies // 2).astype(np.uint8)


def along(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Where answers (N, K, 2) lie between the two copies: 0 at the first, 1 at the second."""
    return (found - true) @ np.array(MOVED) / np.dot(MOVED, MOVED) + 0.5
