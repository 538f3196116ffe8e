"""The rows of the ablation: one `Plan` each, from the script of 2019 to our default and beyond.

"repairs": the script of 2019, then one repair after the other, on top of those before. "parts": our
default with one thing changed. "hourglass": other shapes of about the same cost. "alone": the
script of 2019 with a single repair. "step": from the last repair to our default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from hglib.augment import Augment
from hglib.losses import OBJECTIVE_2019, Objective

GROUPS = ("repairs", "parts", "hourglass", "alone", "step")
Changes = dict[str, Any]


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

    def changed(self, **changes: Any) -> Plan:
        """This plan but for `changes`; what is no field of a plan is an option of its network."""
        own = {field.name for field in fields(self)} & set(changes)
        options = {name: changes[name] for name in changes if name not in own}
        plan = replace(self, options={**self.options, **options})
        return replace(plan, **{name: changes[name] for name in own})


ORIGINAL = Plan("2019", "repairs", "the script of 2019", "Where does the course start?", "2019")
ORIGINAL = replace(ORIGINAL, network="original", objective=OBJECTIVE_2019, augment=Augment.none())
ORIGINAL = replace(ORIGINAL, batch=8, learning_rate=1e-3, schedule="constant", first_pixel=0)
ORIGINAL = replace(ORIGINAL, precision="float32", same_images=True)
MEAN = replace(OBJECTIVE_2019, loss="mean_squared_error")
PIXELS = replace(OBJECTIVE_2019, loss="pixel_cross_entropy")
# Map pixels at stride 1: as wide on the image as our default's 0.6 at stride 2.
NARROW = Objective(sigma=1.2)
NARROW_ROUNDED = replace(NARROW, round_labels=True)


SQUARE, SHAPE = "Is the squared error the right question?", "Does the shape of the target matter?"
FRACTION, SKIP = "What is in the fraction of a pixel?", "Does the output need the image itself?"
STEP, SHORT = "Is the step too short?", "Does augmentation help in a short run?"
REPAIRS: list[tuple[str, str, str, Changes]] = [  # name, in words, question, what changes
    ("init", "He's initialisation", "Is the silent start to blame?", dict(init="he")),
    ("linear", "linear output", "Does the sigmoid hold it back?", dict(activation="linear")),
    ("mean", "mean per level, not sum", "Should the coarse level be heard?", dict(objective=MEAN)),
    ("norm", "BatchNorm", "What do normalised layers change?", dict(normalise=True)),
    ("loss", "cross-entropy over pixels", SQUARE, dict(objective=PIXELS, activation="softmax")),
    ("target", "narrow Gaussian targets", SHAPE, dict(objective=NARROW_ROUNDED)),
    ("unrounded", "labels not rounded", FRACTION, dict(objective=NARROW)),
    ("first-pixel", "labels from 0", "What does an off-by-one cost?", dict(first_pixel=1)),
    ("decoder", "centre of mass", "What does reading between cells give?", dict(decoder="soft")),
    ("fine-skip", "skip at full resolution", SKIP, dict(full_resolution_skip=True)),
    ("schedule", "five times the rate, cosine", STEP, dict(learning_rate=5e-3, schedule="cosine")),
    ("batch", "batches of 32", "Is a batch of 8 too small?", dict(batch=32)),
    ("augment", "changed images", SHORT, dict(augment=Augment())),
]


def repairs() -> list[Plan]:
    """The script of 2019 and what becomes of it, each repair on top of those before."""
    plans = [ORIGINAL]
    for name, what, question, changes in REPAIRS:
        words = {"name": f"repair-{name}", "what": f"+ {what}", "question": question}
        plans.append(plans[-1].changed(**words, against=plans[-1].name, **changes))
    return plans


def alone() -> list[Plan]:
    """The script of 2019 with one repair and nothing else."""
    words = {"group": "alone", "question": "Would this repair alone have done?"}
    return [
        ORIGINAL.changed(name=f"alone-{name}", what=f"2019, only: {what}", **words, **changes)
        for name, what, _, changes in REPAIRS
        if name in ("linear", "norm", "loss", "schedule")
    ]


def part(name: str, what: str, question: str, **changes: Any) -> Plan:
    """Our default but for `changes`."""
    return Plan(name, "parts", what, question).changed(**changes)


READING = "How much does the way of reading a map matter?"
HALF = "Is half a pixel of rounding felt?"
LOSS, SHARP = "Which question should the maps answer?", "How sharp should the target be?"
MIRRORED, ASK = replace(Augment(), mirror=0.5), "What does a mirror teach?"
MSE, BCE = Objective("mean_squared_error"), Objective("binary_cross_entropy")
ROUNDED, WIDE = Objective(round_labels=True), Objective(sigma=None, alpha=0.1)
PARTS = [
    # what the points are, before and after the network
    part("default", "our default", "What is everything compared with?"),
    part("decoder-argmax", "argmax", READING, decoder="argmax"),
    part("decoder-quarter", "quarter offset", READING, decoder="quarter"),
    part("decoder-taylor", "Taylor step (DARK)", READING, decoder="taylor"),
    part("labels-1-based", "labels left 1-based", "What is a pixel's shift?", first_pixel=0),
    part("labels-rounded", "labels rounded", HALF, objective=ROUNDED),
    # losses and targets
    part("loss-mse", "squared error", LOSS, objective=MSE, activation="linear"),
    part("loss-bce", "binary cross-entropy", LOSS, objective=BCE, activation="sigmoid"),
    part("sigma-1.2", "sigma 1.2 cells, not 0.6", SHARP, objective=Objective(sigma=1.2)),
    part("sigma-2.4", "sigma 2.4 cells", SHARP, objective=Objective(sigma=2.4)),
    part("target-2019", "exp(-0.1 d) targets", SHARP, objective=WIDE),
    # ways to train
    part("no-augment", "no augmentation", "Is it worth it?", augment=Augment.none()),
    part("mirror", "mirrored copies", ASK, augment=MIRRORED),
    part("mirror-no-swap", "mirrored, not swapped", ASK, augment=MIRRORED, swap=False),
    part("rate-constant", "constant rate", "Must the rate fall?", schedule="constant"),
    part("rate-1e-3", "rate 1e-3", "Why such a high rate?", learning_rate=1e-3),
    part("batch-8", "batches of 8", "Fewer, larger steps?", batch=8),
]


def shape(name: str, what: str, question: str, network: str = "switched", **changes: Any) -> Plan:
    """Another network, trained as our default is."""
    return Plan(name, "hourglass", what, question, network=network).changed(**changes)


def stacked(stacks: int, width: int) -> Plan:
    """The paper's network, narrowed, with our objective."""
    name, what = f"stacks-{stacks}", f"the paper's, {stacks} hourglass{'es' * (stacks > 1)}"
    options = {"stacks": stacks, "width": width, "activation": "softmax", "decoder": "soft"}
    return shape(name, what, "Deeper or again?", "stacked", **options)


def depth(halvings: int, *widths: int, **changes: Any) -> Plan:
    """Fewer halvings, wider maps: as costly as our default, which halves five times."""
    what = f"{halvings or 'no'} halving{'s' * (halvings > 0)}, wider"
    return shape(f"depth-{halvings}", what, "How far down must it go?", widths=widths, **changes)


NO_SKIPS = (24, 44, 90, 136, 180)  # spends on width what the skips would have cost
FINE, WIDER = (8, 16, 32, 64, 96, 128), (24, 48, 96, 144, 192)
FULL = {"widths": FINE, "stem_stride": 1, "objective": NARROW}
UP, COARSE = "Which way up?", "Should coarse maps have targets?"
WAIST = "Is it the hourglass at all?"
SHAPES = [
    shape("skips-none", "no skips, wider", "Why skips?", skips="none", widths=NO_SKIPS),
    shape("skips-concat", "concatenated skips", "Add or stack?", skips="concat"),
    depth(4, 16, 36, 68, 104),
    depth(3, 20, 36, 76),
    depth(2, 24, 48),
    depth(1, 42),
    depth(0, 21, stem_stride=1, objective=NARROW),
    shape("supervised-lowest", "target at the waist too", COARSE, supervised="lowest"),
    shape("supervised-all", "target at every level", COARSE, supervised="all"),
    shape("up-bilinear", "bilinear up", UP, up="bilinear"),
    shape("up-transposed", "transposed convolution", UP, up="transposed"),
    shape("up-shuffle", "pixel shuffle", UP, up="shuffle"),
    shape("norm-group", "GroupNorm", "Must it be the batch?", norm="group"),
    shape("norm-none", "no normalisation", "Is it needed?", norm="none"),
    shape("no-standardise", "images as they are", "Do grey levels matter?", standardise=False),
    shape("full-resolution", "maps of 96x96", "Finer maps?", **FULL),
    shape("wider", "1.5 times as wide", "More channels, fewer images?", widths=WIDER),
    stacked(1, 32),
    stacked(2, 24),
    stacked(3, 24),
    # no hourglass, at equal cost
    shape("plain", "plain, 12 layers", WAIST, "plain", layers=12, width=12),
    shape("plain-dilated", "plain, dilated", WAIST, "plain", width=12, dilations=(1, 2, 4, 8)),
    shape("regression", "coordinates", WAIST, "regression", widths=(20, 40, 64, 96, 128)),
]


def steps() -> list[Plan]:
    """From the last repair to our default, each change on top of those before."""
    ask = {"question": "What does the network itself give?", "group": "step", "same_images": True}
    bare = repairs()[-1].changed(network="repaired", **ask)
    ours, half = PARTS[0].changed(widths=(4, 8, 16, 32, 32), **ask), (8, 16, 32, 48, 64)
    chain = [
        bare.changed(name="step-scores", what="no LeakyReLU on its scores", up="bare"),
        bare.changed(name="step-up", what="its way up as ours", up="nearest"),
        ours.changed(name="step-narrow", what="our default, as narrow as 2019"),
        ours.changed(name="step-half", what="our default, half as wide", widths=half),
    ]
    before = ("repair-augment", *(plan.name for plan in chain))
    return [replace(plan, against=name) for plan, name in zip(chain, before, strict=False)]


def all_plans() -> dict[str, Plan]:
    """Every row by name, in the order of the tables."""
    return {plan.name: plan for plan in (*repairs(), *PARTS, *SHAPES, *alone(), *steps())}
