"""Self-checks of the notebooks' exercises: each prints one line that names the mistake.

`check.something(your_function)` prints "Correct: ..." or "Not yet: ..." and returns a bool. One
module per notebook; `hglib.check.verdict` holds what they share.
"""

from hglib.check.data import group_split, label_noise, mirror_order
from hglib.check.evaluation import flip_average, kept_risk, worst_eye
from hglib.check.further import labelled_mean, whole_batch
from hglib.check.heatmaps import mirrored, quarter_offset, rendered
from hglib.check.hourglass import deepest, field_of_chain, recursion, residual
from hglib.check.photo import back_to_photo, boxed
from hglib.check.start_here import brightest, mean_distance
from hglib.check.training import black_ratio, halved_step, mirrored_batch, schedule
from hglib.check.why import gain_and_luck, same_order

__all__ = [
    "back_to_photo",
    "black_ratio",
    "boxed",
    "brightest",
    "deepest",
    "field_of_chain",
    "flip_average",
    "gain_and_luck",
    "group_split",
    "halved_step",
    "kept_risk",
    "label_noise",
    "labelled_mean",
    "mean_distance",
    "mirror_order",
    "mirrored",
    "mirrored_batch",
    "quarter_offset",
    "recursion",
    "rendered",
    "residual",
    "same_order",
    "schedule",
    "whole_batch",
    "worst_eye",
]
