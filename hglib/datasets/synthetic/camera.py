"""Pose and camera: where a point of the head lands on the image, and what a pixel looks at."""

import numpy as np

from .brush import col
from .style import SIZE, Array, Dice, Style, Throws

MOST_YAW = 65.0  # degrees: a face turned further hides its other eye. By default at most 61.2


class Camera:
    """Pose and camera of a batch of heads.

    A head point p is turned, q = R p, then lands on the image at
    `origin + scale * q_xy / (1 - q_z * closeness)`: closeness 0 is a camera infinitely far away.
    """

    def __init__(self, dice: Dice, style: Style, eyes: Array) -> None:
        """`eyes`: head coordinates (N, 2, 3) of the two places that are put where `style` wants."""
        d = dice.part("place")
        tail = np.where(d.uniform() < 0.16, 2.4, 0.65).astype(np.float32)  # most nearly frontal
        yaw = d.normal(0, style.yaw_sd, 3) * tail
        self.yaw = np.radians(np.clip(yaw, -MOST_YAW, MOST_YAW))
        self.pitch = np.radians(d.normal(0, style.pitch_sd, 2.5))
        tail = np.where(d.uniform() < 0.15, 1.8, 0.8).astype(np.float32)
        self.roll = np.radians(d.normal(0, style.roll_sd, 3) * tail)
        self.rotation = _rotation(self.yaw, self.pitch, self.roll)
        self.closeness = d.uniform(0.02, 0.11)  # a camera 3 m to half a metre away
        self.scale = np.ones(dice.count, np.float32)
        self.origin = np.zeros((dice.count, 2), np.float32)
        self._aim(d, style, self.project(eyes))

    def _aim(self, d: Throws, style: Style, eyes: Array) -> None:
        """Set scale and origin so that the eyes, now at `eyes` (N, 2, 2), land where they should.

        A few heads are much further off, or out of the middle, as in the real set.
        """
        stray = np.where(d.uniform() < 0.09, d.uniform(1.5, 4.5), 0.92).astype(np.float32)
        wanted = d.normal(style.distance, style.distance_sd)
        wanted = wanted * (1 - np.maximum(stray - 1, 0) * d.uniform(-0.06, 0.14))
        turned = np.cos(self.yaw) ** 0.9  # a turned head shows its eyes closer together
        apart = np.hypot(*(eyes[:, 0] - eyes[:, 1]).T)
        self.scale = (wanted * turned / apart).astype(np.float32)
        x = style.eyes_x + stray * d.normal(0, style.eyes_x_sd)
        y = style.eyes_y + stray * d.normal(0, style.eyes_y_sd)
        half = np.abs(self.scale[:, None] * (eyes[:, 0] - eyes[:, 1])) / 2 + 3
        middle = np.clip(np.stack([x, y], 1), half, SIZE - 1 - half)  # both inside the image
        self.origin = middle - self.scale[:, None] * eyes.mean(1)

    def project(self, points: Array) -> Array:
        """Head points (N, K, 3) to image pixels (N, K, 2)."""
        q = np.einsum("nij,nkj->nki", self.rotation, points)
        near = 1 / (1 - q[:, :, 2:] * col(self.closeness))
        return self.origin[:, None] + col(self.scale) * q[:, :, :2] * near

    def plane(self, height: float) -> tuple[Array, Array]:
        """Where each pixel's line of sight meets a plane in front of (or behind) the eyes.

        Head coordinates x and y of a plane parallel to the image, `height` nearer the camera
        than the turned head's origin; two fields (N, 96, 96), linear in the pixels.
        """
        at = np.arange(SIZE, dtype=np.float32)[None]
        u = (at - self.origin[:, :1]) / self.scale[:, None]
        v = (at - self.origin[:, 1:]) / self.scale[:, None]
        r, stretch = self.rotation, 1 - height * self.closeness
        x, y = (
            (r[:, 0, i] * stretch)[:, None, None] * u[:, None, :]
            + ((r[:, 1, i] * stretch)[:, None] * v + height * r[:, 2, i, None])[:, :, None]
            for i in (0, 1)
        )
        return x, y

    def rays(self, columns: Array, rows: Array) -> tuple[Array, Array]:
        """Start and direction of the pixels' lines of sight in head coordinates, (3, N, h, w)."""
        u = (columns - col(self.origin[:, 0])) / col(self.scale)
        v = (rows - col(self.origin[:, 1])) / col(self.scale)
        u, v = np.broadcast_arrays(u, v)
        r, k = self.rotation, col(self.closeness)
        start = np.stack([col(r[:, 0, i]) * u + col(r[:, 1, i]) * v for i in range(3)])
        ahead = np.stack([col(r[:, 2, i]) - k * start[i] for i in range(3)])
        return start, ahead


def _rotation(yaw: Array, pitch: Array, roll: Array) -> Array:
    """(N, 3, 3): first pitch (nod), then yaw (turn), then roll (tilt)."""
    one, zero = np.ones_like(yaw), np.zeros_like(yaw)
    (cy, cp, cr), (sy, sp, sr) = (np.cos([yaw, pitch, roll]), np.sin([yaw, pitch, roll]))
    nod = np.array([[one, zero, zero], [zero, cp, -sp], [zero, sp, cp]])
    turn = np.array([[cy, zero, sy], [zero, one, zero], [-sy, zero, cy]])
    tilt = np.array([[cr, -sr, zero], [sr, cr, zero], [zero, zero, one]])
    return np.einsum("ijn,jkn,kln->nil", tilt, turn, nod).astype(np.float32)
