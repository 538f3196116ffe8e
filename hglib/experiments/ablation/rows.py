"""The rows of the ablation: one `Plan` each, from the script of 2019 to our default and beyond.

Four groups. "repairs": the script of 2019, then one repair after the other, each on top of those
before. "parts": our default with one thing changed. "hourglass": other shapes that cost about as
much as our default. "alone": the script of 2019 with a single repair.
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
    """One row: what is trained, how, and which question that answers.

    The defaults are those of our default network and its recipe.
    """

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


# ---- from 2019 to our default ----------------------------------------------------------------

ORIGINAL = Plan(
    name="2019",
    group="repairs",
    what="the script of 2019",
    question="Where does the course start?",
    against="2019",
    network="original",
    objective=OBJECTIVE_2019,
    augment=Augment.none(),
    batch=8,
    learning_rate=1e-3,
    schedule="constant",
    precision="float32",
    first_pixel=0,
    same_images=True,
)
ROUNDED = Objective(round_labels=True)
SIGMA_FULL = 1.2  # map pixels at stride 1: as wide on the picture as our default's 0.6 at stride 2


@dataclass(frozen=True)
class Repair:
    """One step from the script of 2019 towards our default."""

    name: str
    what: str
    question: str
    options: Mapping[str, Any] = field(default_factory=dict)  # of the network, those that change
    changes: Mapping[str, Any] = field(default_factory=dict)  # fields of the plan that change


MEAN = replace(OBJECTIVE_2019, loss="mean_squared_error")
CROSS_ENTROPY = replace(OBJECTIVE_2019, loss="pixel_cross_entropy")
NARROW = Objective(sigma=SIGMA_FULL)
REPAIRS = (
    Repair("init", "He's initialisation", "Is the silent start to blame?", {"init": "he"}),
    Repair("linear", "linear output", "Does the sigmoid hold it back?", {"activation": "linear"}),
    Repair(
        "mean",
        "mean per level, not sum",
        "Should the coarse level be heard?",
        changes={"objective": MEAN},
    ),
    Repair("norm", "BatchNorm", "What do normalised layers change?", {"normalise": True}),
    Repair(
        "loss",
        "cross-entropy over pixels",
        "Is the squared error the right question?",
        {"activation": "softmax"},
        {"objective": CROSS_ENTROPY},
    ),
    Repair(
        "target",
        "narrow Gaussian targets",
        "Does the shape of the target matter?",
        changes={"objective": replace(NARROW, round_labels=True)},
    ),
    Repair(
        "unrounded",
        "labels not rounded",
        "What is in the fraction of a pixel?",
        changes={"objective": NARROW},
    ),
    Repair(
        "first-pixel", "labels from 0", "What does an off-by-one cost?", changes={"first_pixel": 1}
    ),
    Repair(
        "decoder",
        "centre of mass",
        "What does reading between cells give?",
        changes={"decoder": "soft"},
    ),
    Repair(
        "fine-skip",
        "skip at full resolution",
        "Does the output need the picture itself?",
        {"full_resolution_skip": True},
    ),
    Repair(
        "schedule",
        "five times the rate, cosine",
        "Is the step too short?",
        changes={"learning_rate": 5e-3, "schedule": "cosine"},
    ),
    Repair("batch", "batches of 32", "Is a batch of 8 too small?", changes={"batch": 32}),
    Repair(
        "augment",
        "changed pictures",
        "Does augmentation help in a short run?",
        changes={"augment": Augment()},
    ),
)


def repairs() -> list[Plan]:
    """The script of 2019 and what becomes of it, repair by repair."""
    plans = [ORIGINAL]
    for repair in REPAIRS:
        before = plans[-1]
        plan = repaired(before, repair, {**before.options, **repair.options})
        plans.append(replace(plan, name=f"repair-{repair.name}", what=f"+ {repair.what}"))
    return plans


def repaired(before: Plan, repair: Repair, options: Mapping[str, Any]) -> Plan:
    """A plan with one repair more, held against the plan before."""
    changes = {"options": options, "question": repair.question, **repair.changes}
    return replace(before, against=before.name, **changes)


def alone() -> list[Plan]:
    """The script of 2019 with one repair and nothing else."""
    plans = []
    for repair in REPAIRS:
        if repair.name in ("linear", "norm", "loss", "schedule"):
            plan = repaired(ORIGINAL, repair, repair.options)
            text = {"name": f"alone-{repair.name}", "what": f"2019, only: {repair.what}"}
            question = "Would this repair alone have done?"
            plans.append(replace(plan, group="alone", question=question, **text))
    return plans


# ---- our default, one thing changed ----------------------------------------------------------


def part(name: str, what: str, question: str, **changes: Any) -> Plan:
    """Our default but for `changes`."""
    return Plan(name, "parts", what, question, **changes)


def labels_and_decoders() -> list[Plan]:
    """What the points are, before and after the network."""
    ask = "How much does the way of reading a map matter?"
    return [
        part("default", "our default", "What is everything compared with?"),
        part("decoder-argmax", "argmax", ask, decoder="argmax"),
        part("decoder-quarter", "quarter offset", ask, decoder="quarter"),
        part("decoder-taylor", "Taylor step (DARK)", ask, decoder="taylor"),
        part("labels-1-based", "labels left 1-based", "What is a pixel's shift?", first_pixel=0),
        part(
            "labels-rounded",
            "labels rounded",
            "Is half a pixel of rounding felt?",
            objective=ROUNDED,
        ),
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


# ---- other shapes ----------------------------------------------------------------------------


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
    full = (8, 16, 32, 64, 96, 128)
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
        shape(
            "no-standardise", "pictures as they are", "Do grey levels matter?", standardise=False
        ),
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
    """Every row by name, in the order of the tables.

    >>> all_plans()["depth-0"].what
    'no halving, wider'
    """
    ours = (labels_and_decoders(), objectives(), training(), shapes(), without_a_waist())
    return {plan.name: plan for group in (repairs(), *ours, alone()) for plan in group}
