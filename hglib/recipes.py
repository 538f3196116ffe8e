"""Which settings each network is trained with, and which trained networks come with hglib."""

from __future__ import annotations

from typing import Any

from torch import nn

from hglib.augment import Augment
from hglib.checkpoint import load_model, pretrained
from hglib.hourglass import build, check_choice
from hglib.losses import OBJECTIVE_2019, OBJECTIVE_PAPER, Objective
from hglib.train import TrainConfig

# A long run sees every face dozens of times; stronger changes keep it from learning the noise of
# their labels by heart. In a short run they only slow it down.
LONG_AUGMENT = Augment(
    rotation=0.22, scale=0.15, shift=5.0, gamma=0.4, light=0.45, noise=0.08, erase=0.8
)
PRETRAINED = "pretrained"  # our default again, but from the weights that come with hglib
# A GPU makes a step of 256 faces nearly as fast as one of 32; fewer steps want a higher rate.
ON_GPU = {"batch": 256, "learning_rate": 1e-2}
LONG_SECONDS, LONG_EPOCHS = 300, 25  # about the same on two cores and the real training part

RECIPES: dict[str, dict[str, Any]] = {
    "lean": {"objective": Objective(), "augment": Augment()},
    # As the script of 2019: Adam at 1e-3, batches of 8, no augmentation, no schedule.
    "original": {
        "objective": OBJECTIVE_2019,
        "augment": Augment.none(),
        "batch": 8,
        "learning_rate": 1e-3,
        "schedule": "constant",
        "precision": "float32",
    },
    # The paper's loss with our augmentation and schedule: RMSprop at 2.5e-4 is for days on GPUs.
    "stacked": {"objective": OBJECTIVE_PAPER, "augment": Augment(), "learning_rate": 2.5e-3},
    # At the full rate, which forgets some of what was learned: better than a gentler one, measured.
    PRETRAINED: {"objective": Objective(), "augment": Augment()},
}


def recipe(network: str = "lean", device: str = "cpu", **changes: Any) -> TrainConfig:
    """The training settings that belong to a network, with any of them changed.

    Our default's augmentation grows stronger for a long budget, unless `augment` is given; its
    batches and learning rate are larger on the device "cuda", unless `batch` is given. Raises
    ValueError for an unknown network.

    >>> recipe("original", seconds=100).batch
    8
    """
    check_choice("network", network, tuple(RECIPES))
    ours = network in ("lean", PRETRAINED)
    large = ON_GPU if ours and device == "cuda" and "batch" not in changes else {}
    settings = {**RECIPES[network], **large, **changes}
    long = (settings.get("seconds") or 0) >= LONG_SECONDS
    long |= (settings.get("epochs") or 0) >= LONG_EPOCHS
    if ours and long and "augment" not in changes:
        settings["augment"] = LONG_AUGMENT
    return TrainConfig(**settings)


def beginning(network: str, **options: Any) -> nn.Module:
    """The network that a run begins with: random weights, or for "pretrained" those of hglib.

    Options are as for `hglib.build`; "pretrained" takes none and raises ValueError for any.

    >>> beginning("pretrained").settings == beginning("lean").settings
    True
    """
    if network != PRETRAINED:
        return build(network, **options)
    if options:
        names = ", ".join(options)
        raise ValueError(f"the pretrained weights belong to a network for two eyes: no {names}")
    return load_model(pretrained()["lean"])
