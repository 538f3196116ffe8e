"""Two conventions inside one set of labels: found from the faces alone, and harmonised.

Kaggle's file holds labels of two sources that lie .8 px apart on each axis (notebook 01). Where a
label should lie is asked of witnesses that never saw these labels: the mean image of an eye, the
mirror, and a network trained on synthetic faces. Each tells for every face how far its eyes lie
from their labels; if two conventions are mixed, that distance changes at some row, or with the
number of labelled points. No witness knows which convention is right, so both parts are moved to
their weighted mean. Only two conventions are told apart: a third stays inside one of the parts.

Axes: N faces, K landmarks. Points and shifts are (x, y) in image pixels, 0-based, NaN unknown.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from hglib.data import EYES, Faces
from hglib.datasets import breaks
from hglib.datasets.audit import eye_offsets, label_shift_parts

SIDE = 96  # pixels: the witnesses know no other images
FEWEST = 200  # faces
SIGMAS = 6.0  # the break is the best of thousands: by chance alone the best reaches about 3.5
LEAST = 0.4  # px: half the real step; inside each half of the real file lie steps of up to .27
MOST = 2.0  # px: more is no convention but a mistake
VISIBLE = 0.5  # px: where such a step could hide in the noise, no set is called uniform


class Witness(NamedTuple):
    """What one witness says: eyes minus labels of the first part, less the same of the second."""

    shift: np.ndarray  # (2,) px; NaN: it cannot see that axis
    se: np.ndarray  # (2,) standard error, px
    first_row: int | None = None  # where it would itself put the break in the order of rows

    def words(self) -> str:
        """Shift and standard error."""
        x, y = self.shift
        unsure = f"± {np.nanmax(self.se):.2f} px"
        return f"({x:+.2f}, {y:+.2f}) {unsure}" if np.isfinite(y) else f"{x:+.2f} {unsure} in x"


@dataclass(frozen=True)
class Finding:
    """What was found in a set of faces, and what is done about it."""

    verdict: str  # "two conventions", "one convention" or "too little evidence"
    reason: str = ""  # in words, where nothing is moved
    part: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))  # (N,) True: the first
    where: str = ""  # the first part in words
    moves: tuple[tuple[float, float], ...] = ((0.0, 0.0), (0.0, 0.0))  # px, of each part's labels
    sigmas: float = 0.0
    witnesses: dict[str, Witness] = field(default_factory=dict)

    @property
    def moved(self) -> bool:
        """Whether `harmonise` moves anything."""
        return self.verdict == "two conventions"

    def line(self, done: bool = True) -> str:
        """All of it in one line; `done`: what was found was also done.

        >>> Finding("too little evidence", "20 faces").line()
        'Labels: left as they are: too little evidence (20 faces)'
        """
        if not self.moved:
            return f"Labels: left as they are: {self.verdict} ({self.reason})"
        (a, b), (c, d) = self.moves
        moved = f"{self.where} {'moved' if done else 'to be moved'} by ({a:+.2f}, {b:+.2f}) px"
        moved += f", the others by ({c:+.2f}, {d:+.2f}) px"
        told = ", ".join(f"by the {name} {w.words()}" for name, w in self.witnesses.items())
        sure = f"a step of {self.sigmas:.0f} standard errors"
        return f"Labels: {self.verdict}: {moved}; distance of the two {told}; {sure}"

    def row(self) -> dict[str, Any]:
        """The same for JSON, without the mask; what is unknown is None."""

        def plain(values: np.ndarray) -> list[float | None]:
            return [round(float(v), 3) if np.isfinite(v) else None for v in values]

        told = {
            name: {"shift": plain(w.shift), "se": plain(w.se), "first_row": w.first_row}
            for name, w in self.witnesses.items()
        }
        said = {"verdict": self.verdict, "reason": self.reason, "where": self.where}
        said |= {"moves": [list(move) for move in self.moves], "sigmas": round(self.sigmas, 1)}
        return {**said, "witnesses": told}


class Harmonised(NamedTuple):
    """Faces with their labels moved where there is evidence, and the evidence."""

    faces: Faces
    finding: Finding


def harmonise(faces: Faces, network: bool = True) -> Harmonised:
    """New faces whose two parts follow the weighted mean of their conventions; images are shared.

    A set without evidence for just two conventions comes back as it is. All points of a face move
    by the same amount; missing points stay NaN; a second call moves nothing.

    Args:
        network: also ask the network that comes with hglib (10 s for Kaggle's faces on one core).

    >>> from hglib.datasets import load
    >>> harmonise(load("synthetic", n_synthetic=20, verbose=False)).finding.reason
    '20 faces with both eyes, fewer than 200'
    """
    finding = _unfit(faces) or learn(faces, _found_by_network(faces) if network else None)
    if not finding.moved:
        return Harmonised(faces, finding)
    move = np.where(finding.part[:, None], *np.float32(finding.moves))  # (N, 2)
    return Harmonised(replace(faces, points=faces.points + move[:, None]), finding)


def learn(faces: Faces, found: np.ndarray | None = None) -> Finding:
    """Whether the labels follow one convention or two, and how the parts are to be moved.

    Args:
        found: (N, 2, 2) eye centres from a network that never saw these labels, left eye first;
            None: only the witnesses that need no network.
    """
    if unfit := _unfit(faces):
        return unfit
    eyes = _eyes(faces)
    away = {"mean eye": eye_offsets(faces.images, eyes)}  # (N, 2) eyes minus labels
    if found is not None:
        away["network"] = (found - eyes).mean(axis=1)
    chief = list(away)[-1]  # the sharpest comes last
    part, sigmas = breaks.best_part(away[chief], faces)
    witnesses = {
        name: Witness(*breaks.difference(some, part), breaks.best_row(some, faces.rows)[0])
        for name, some in away.items()
    }
    shift, se = label_shift_parts(replace(faces, points=eyes, landmarks=EYES), part)
    if np.isfinite(shift):  # labels too far right: eyes too far left, hence the sign
        witnesses["mirror"] = Witness(np.array([-shift, np.nan]), np.array([se, np.nan]))
    unsure = (
        2 * breaks.MEDIAN_SE * breaks.robust_sd(away[chief]).max() / np.sqrt(len(faces))
    )  # of two halves
    verdict, reason = _judge(witnesses, chief, sigmas, unsure)
    step, share = witnesses[chief].shift, part.mean()
    # Hundredths of a pixel: the rounding of another machine's arithmetic must not show.
    moves = ((1 - share) * step).round(2).tolist(), (-share * step).round(2).tolist()
    moves = tuple(map(tuple, moves))
    return Finding(verdict, reason, part, breaks.in_words(faces, part), moves, sigmas, witnesses)


def _judge(
    witnesses: dict[str, Witness], chief: str, sigmas: float, unsure: float
) -> tuple[str, str]:
    """Verdict and, where nothing is to be moved, the reason."""
    shift = witnesses[chief].shift
    size, told = float(np.hypot(*shift)), f"({shift[0]:+.2f}, {shift[1]:+.2f}) px"
    if size > MOST:
        return "too little evidence", f"a step of {told} is too large for a convention"
    if sigmas < SIGMAS or size < LEAST:
        blind = sigmas < SIGMAS and unsure * SIGMAS > VISIBLE
        verdict = "too little evidence" if blind else "one convention"
        return verdict, f"the largest step is {told}, {sigmas:.1f} standard errors"
    for name, other in witnesses.items():
        allowed = np.maximum(size / 2, 4 * other.se)
        if (np.abs(other.shift - shift) > allowed).any():  # NaN compares false
            said = f"a step of {told} by the {chief}, but {other.words()} by the {name}"
            return "too little evidence", said
    return "two conventions", ""


def _unfit(faces: Faces) -> Finding | None:
    """Sets that the witnesses cannot judge."""
    if faces.images.shape[1:] != (SIDE, SIDE):
        size = "x".join(map(str, faces.images.shape[:0:-1]))
        return Finding("too little evidence", f"images of {size}, not {SIDE}x{SIDE}")
    if not set(EYES) <= set(faces.landmarks):
        return Finding("too little evidence", "both eyes are needed")
    known = int(np.isfinite(_eyes(faces)).all(axis=(1, 2)).sum())
    if known < FEWEST:
        few = f"{known} faces with both eyes, fewer than {FEWEST}"
        return Finding("too little evidence", few)
    return None


def _eyes(faces: Faces) -> np.ndarray:
    return faces.points[:, [faces.landmarks.index(name) for name in EYES]]  # (N, 2, 2)


def _found_by_network(faces: Faces) -> np.ndarray:
    """(N, 2, 2) eye centres by the network that comes with hglib; it saw no photograph."""
    from hglib.checkpoint import load_model, pretrained
    from hglib.inference import fuse_conv_bn, predict

    model = fuse_conv_bn(load_model(pretrained()["lean"]))
    return predict(model, faces.images, precision="float32").points.numpy()  # alike everywhere
