"""Self-checks of the notebooks' exercises: each prints one line that names the mistake.

`check.something(your_function)` prints "Correct: ..." or "Not yet: ..." and returns a bool. One
module per notebook; `hglib.check.verdict` holds what they share.
"""

from hglib.check.data import group_split, label_noise, mirror_order
from hglib.check.heatmaps import mirrored, quarter_offset, rendered
from hglib.check.hourglass import deepest, field_of_chain, recursion
from hglib.check.start_here import brightest, mean_distance

__all__ = [
    "brightest",
    "deepest",
    "field_of_chain",
    "group_split",
    "label_noise",
    "mean_distance",
    "mirror_order",
    "mirrored",
    "quarter_offset",
    "recursion",
    "rendered",
]
