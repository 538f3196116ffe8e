"""Self-checks of the notebooks' exercises: each prints one line that names the mistake.

`check.something(your_function)` prints "Correct: ..." or "Not yet: ..." and returns a bool. One
module per notebook; `hglib.check.verdict` holds what they share. `check.score()` counts.
"""

from hglib.check.coordinates import offset_head
from hglib.check.data import group_split, harmonised, label_noise, mirror_order, mirrored
from hglib.check.evaluation import flip_average, kept_risk, paired_interval, worst_eye
from hglib.check.further import labelled_mean, whole_batch
from hglib.check.heatmaps import exponential, pixel_loss, quarter_offset, rendered
from hglib.check.hourglass import deepest, field_of_chain, recursion, residual
from hglib.check.photo import back_to_photo, boxed
from hglib.check.scoring import score
from hglib.check.start_here import brightest, mean_distance
from hglib.check.training import black_ratio, mirrored_batch, schedule, training_step
from hglib.check.why import ablation, same_order

__all__ = [
    "ablation",
    "back_to_photo",
    "black_ratio",
    "boxed",
    "brightest",
    "deepest",
    "exponential",
    "field_of_chain",
    "flip_average",
    "group_split",
    "harmonised",
    "kept_risk",
    "label_noise",
    "labelled_mean",
    "mean_distance",
    "mirror_order",
    "mirrored",
    "mirrored_batch",
    "offset_head",
    "paired_interval",
    "pixel_loss",
    "quarter_offset",
    "recursion",
    "rendered",
    "residual",
    "same_order",
    "schedule",
    "score",
    "training_step",
    "whole_batch",
    "worst_eye",
]
