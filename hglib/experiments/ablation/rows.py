"""The rows of the ablation: one `Plan` each, from the script of 2019 to our default and beyond.

"repairs": the script of 2019, then one repair after the other, on top of those before. "parts": our
default with one thing changed. "hourglass": other shapes of about the same cost. "alone": the
script of 2019 with a single repair.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hglib.augment import Augment
from hglib.losses import OBJECTIVE_2019, Objective

GROUPS = ("repairs", "parts", "hourglass", "alone")


@dataclass(frozen=True)
class Plan:
    """One row: what is trained, how, and which question that answers; by default our own recipe."""

    name: str  # what `--rows` takes
    group: str  # one of GROUPS
    what: str  # in words, as the tables show it
    question: str
    against: str = "default"  # the row that differs in this one thing
    network: str = "lean"
    options: Mapping[str, Any] = field(default_factory=dict)
    objective: Objective = field(default_factory=Objective)
    augment: Augment = field(default_factory=Augment)
    batch: int = 32
    learning_rate: float = 5e-3
    schedule: str = "cosine"
    precision: str = "auto"
    first_pixel: int = 1  # what the labels' first pixel is taken to be; 0 leaves them 1-based
    swap: bool = True  # left and right trade places in mirrored copies
    decoder: str | None = None  # None: the network's own
    same_images: bool = False  # shown as many as our default, whatever the network costs


ORIGINAL = Plan("2019", "repairs", "the script of 2019", "Where does the course start?", "2019")
ORIGINAL = replace(ORIGINAL, network="original", objective=OBJECTIVE_2019, augment=Augment.none())
ORIGINAL = replace(ORIGINAL, batch=8, learning_rate=1e-3, schedule="constant", first_pixel=0)
ORIGINAL = replace(ORIGINAL, precision="float32", same_images=True)
MEAN = replace(OBJECTIVE_2019, loss="mean_squared_error")
CROSS_ENTROPY = replace(OBJECTIVE_2019, loss="pixel_cross_entropy")
ROUNDED = Objective(round_labels=True)
# Map pixels at stride 1: as wide on the image as our default's 0.6 at stride 2.
NARROW = Objective(sigma=1.2)

STEPS = """
init        | He's initialisation        | Is the silent start to blame?
linear      | linear output              | Does the sigmoid hold it back?
mean        | mean per level, not sum    | Should the coarse level be heard?
norm        | BatchNorm                  | What do normalised layers change?
loss        | cross-entropy over pixels  | Is the squared error the right question?
target      | narrow Gaussian targets    | Does the shape of the target matter?
unrounded   | labels not rounded         | What is in the fraction of a pixel?
first-pixel | labels from 0              | What does an off-by-one cost?
decoder     | centre of mass             | What does reading between cells give?
fine-skip   | skip at full resolution    | Does the output need the picture itself?
schedule    | five times the rate, cosine | Is the step too short?
batch       | batches of 32              | Is a batch of 8 too small?
augment     | changed pictures           | Does augmentation help in a short run?
"""
REPAIRS = [[cell.strip() for cell in line.split("|")] for line in STEPS.strip().splitlines()]
OPTIONS: dict[str, dict[str, Any]] = {  # of the network, those that a repair changes
    "init": {"init": "he"},
    "linear": {"activation": "linear"},
    "norm": {"normalise": True},
    "loss": {"activation": "softmax"},
    "fine-skip": {"full_resolution_skip": True},
}
CHANGES: dict[str, dict[str, Any]] = {  # fields of the plan that a repair changes
    "mean": {"objective": MEAN},
    "loss": {"objective": CROSS_ENTROPY},
    "target": {"objective": replace(NARROW, round_labels=True)},
    "unrounded": {"objective": NARROW},
    "first-pixel": {"first_pixel": 1},
    "decoder": {"decoder": "soft"},
    "schedule": {"learning_rate": 5e-3, "schedule": "cosine"},
    "batch": {"batch": 32},
    "augment": {"augment": Augment()},
}


def repaired(before: Plan, repair: str, **words: str) -> Plan:
    """A plan with one repair more, held against the plan before."""
    options = {**before.options, **OPTIONS.get(repair, {})}
    changes = CHANGES.get(repair, {})
    return replace(before, against=before.name, options=options, **words, **changes)


def repairs() -> list[Plan]:
    """The script of 2019 and what becomes of it, repair by repair."""
    plans = [ORIGINAL]
    for name, what, question in REPAIRS:
        words = {"name": f"repair-{name}", "what": f"+ {what}", "question": question}
        plans.append(repaired(plans[-1], name, **words))
    return plans


def alone() -> list[Plan]:
    """The script of 2019 with one repair and nothing else."""
    words = {"group": "alone", "question": "Would this repair alone have done?"}
    return [
        repaired(ORIGINAL, name, name=f"alone-{name}", what=f"2019, only: {what}", **words)
        for name, what, _ in REPAIRS
        if name in ("linear", "norm", "loss", "schedule")
    ]


def part(name: str, what: str, question: str, **changes: Any) -> Plan:
    """Our default but for `changes`."""
    return Plan(name, "parts", what, question, **changes)


def labels_and_decoders() -> list[Plan]:
    """What the points are, before and after the network."""
    ask, felt = (
        "How much does the way of reading a map matter?",
        "Is half a pixel of rounding felt?",
    )
    return [
        part("default", "our default", "What is everything compared with?"),
        part("decoder-argmax", "argmax", ask, decoder="argmax"),
        part("decoder-quarter", "quarter offset", ask, decoder="quarter"),
        part("decoder-taylor", "Taylor step (DARK)", ask, decoder="taylor"),
        part("labels-1-based", "labels left 1-based", "What is a pixel's shift?", first_pixel=0),
        part("labels-rounded", "labels rounded", felt, objective=ROUNDED),
    ]


def objectives() -> list[Plan]:
    """Other losses and targets."""
    ask = "How sharp should the target be?"
    mse, bce = Objective("mean_squared_error"), Objective("binary_cross_entropy")
    linear, sigmoid = {"activation": "linear"}, {"activation": "sigmoid"}
    loss = "Which question should the maps answer?"
    wide = Objective(sigma=None, alpha=0.1)
    return [
        part("loss-mse", "squared error", loss, objective=mse, options=linear),
        part("loss-bce", "binary cross-entropy", loss, objective=bce, options=sigmoid),
        part("sigma-1.2", "sigma 1.2 cells, not 0.6", ask, objective=Objective(sigma=1.2)),
        part("sigma-2.4", "sigma 2.4 cells", ask, objective=Objective(sigma=2.4)),
        part("target-2019", "exp(-0.1 d) targets", ask, objective=wide),
    ]


def training() -> list[Plan]:
    """Other ways to train the same network."""
    mirror = replace(Augment(), mirror=0.5)
    ask = "What does a mirror teach?"
    return [
        part("no-augment", "no augmentation", "Is it worth it?", augment=Augment.none()),
        part("mirror", "mirrored copies", ask, augment=mirror),
        part("mirror-no-swap", "mirrored, not swapped", ask, augment=mirror, swap=False),
        part("rate-constant", "constant rate", "Must the rate fall?", schedule="constant"),
        part("rate-1e-3", "rate 1e-3", "Why such a high rate?", learning_rate=1e-3),
        part("batch-8", "batches of 8", "Fewer, larger steps?", batch=8),
    ]


def shape(name: str, what: str, question: str, network: str = "switched", **options: Any) -> Plan:
    """Another network, trained as our default is."""
    return Plan(name, "hourglass", what, question, network=network, options=options)


def depths() -> list[Plan]:
    """Fewer halvings, wider maps: all cost as much as our default, which halves five times."""
    ask = "How far down must it go?"
    widths = {4: (16, 36, 68, 104), 3: (20, 36, 76), 2: (24, 48), 1: (42,)}
    found = [shape(f"depth-{d}", f"{d} halvings, wider", ask, widths=w) for d, w in widths.items()]
    flat = shape("depth-0", "no halving, wider", ask, widths=(21,), stem_stride=1)
    return [*found, replace(flat, objective=NARROW)]


def shapes() -> list[Plan]:
    """Skips, ways up, supervision, normalisation, width, stacks."""
    up, coarse, stack = "Which way up?", "Should coarse maps have targets?", "Deeper or again?"
    full, grey = (8, 16, 32, 64, 96, 128), "Do grey levels matter?"
    large = shape("full-resolution", "maps of 96x96", "Finer maps?", widths=full, stem_stride=1)
    return [
        shape("skips-none", "no skips, wider", "Why skips?", skips="none", widths=NO_SKIPS),
        shape("skips-concat", "concatenated skips", "Add or stack?", skips="concat"),
        *depths(),
        shape("supervised-lowest", "target at the waist too", coarse, supervised="lowest"),
        shape("supervised-all", "target at every level", coarse, supervised="all"),
        shape("up-bilinear", "bilinear up", up, up="bilinear"),
        shape("up-transposed", "transposed convolution", up, up="transposed"),
        shape("up-shuffle", "pixel shuffle", up, up="shuffle"),
        shape("norm-group", "GroupNorm", "Must it be the batch?", norm="group"),
        shape("norm-none", "no normalisation", "Is it needed?", norm="none"),
        shape("no-standardise", "pictures as they are", grey, standardise=False),
        replace(large, objective=NARROW),
        shape("wider", "1.5 times as wide", "More channels, fewer pictures?", widths=WIDER),
        stacked("stacks-1", 1, 32, stack),
        stacked("stacks-2", 2, 24, stack),
        stacked("stacks-3", 3, 24, stack),
    ]


NO_SKIPS = (24, 44, 90, 136, 180)  # spends on width what the skips would have cost
WIDER = (24, 48, 96, 144, 192)


def stacked(name: str, stacks: int, width: int, question: str) -> Plan:
    """The paper's network, narrowed, with our objective."""
    options = {"stacks": stacks, "width": width, "activation": "softmax"}
    what = f"the paper's, {stacks} hourglass{'es' * (stacks > 1)}"
    return replace(shape(name, what, question, "stacked", **options), decoder="soft")


def without_a_waist() -> list[Plan]:
    """Networks that are no hourglass, at equal cost."""
    ask = "Is it the hourglass at all?"
    return [
        shape("plain", "plain, 12 layers", ask, "plain", layers=12, width=12),
        shape("plain-dilated", "plain, dilated", ask, "plain", width=12, dilations=(1, 2, 4, 8)),
        shape("regression", "coordinates", ask, "regression", widths=(20, 40, 64, 96, 128)),
    ]


def all_plans() -> dict[str, Plan]:
    """Every row by name, in the order of the tables."""
    ours = (labels_and_decoders(), objectives(), training(), shapes(), without_a_waist())
    return {plan.name: plan for group in (repairs(), *ours, alone()) for plan in group}
