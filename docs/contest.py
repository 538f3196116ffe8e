"""The contest: your own network under a budget of operations, judged by gain and luck.

    python docs/contest.py mine.py              # mine.py defines `class Mine(nn.Module)`
    python docs/contest.py mine.py --seeds 0    # one quick run, without a verdict
    python docs/contest.py mine.py --final --seeds 3 4 5    # once, at the end: on the test part

Trained as the rows of `python -m hglib experiment ablation` are: the same operations in training
for everybody, so a smaller network is shown more images. Some 15 s a run on two cores. Measured on
the validation part, since whoever tries many networks on the test part chooses by it.
"""

import argparse
import math
import runpy

from hglib.anatomy import flops
from hglib.anatomy.variants import VARIANTS
from hglib.experiments.ablation.gains import Gain, load_rows, luck, paired
from hglib.experiments.ablation.rows import Plan
from hglib.experiments.ablation.study import IMAGES, Runner, default_flops, load_data

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("file", help="your Python file; it defines the class Mine")
parser.add_argument("--final", action="store_true", help="measure on the test part: once")
parser.add_argument("--budget", type=float, help="MFLOP a face (those of our default)")
parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
parser.add_argument("--images", type=int, default=IMAGES, help="that our default is shown")
parser.add_argument("--synthetic-faces", type=int, default=6000)
given = parser.parse_args()

VARIANTS["mine"] = runpy.run_path(given.file)["Mine"]
cost, budget = flops(VARIANTS["mine"]()) / 1e6, given.budget or default_flops() / 1e6
if cost > budget:
    raise SystemExit(f"{given.file}: {cost:.0f} MFLOP a face; the budget is {budget:.0f}")

rows = Plan("default", "parts", "our default", ""), Plan("mine", "hourglass", "mine", "")
rows = rows[0], rows[1].changed(network="mine")
part = "test" if given.final else "validation"
runner = Runner(load_data("synthetic", given.synthetic_faces, part=part), given.images)
px = {row.name: [runner.run(row, seed)["mean_px"] for seed in given.seeds] for row in rows}
for name, errors in px.items():
    print(f"{name:8}", " ".join(f"{error:.2f}" for error in errors), "px")
if len(given.seeds) > 1:
    gain = paired(px["mine"], px["default"])
    # Three differences may lie close together by chance: never surer than the luck of a run in the
    # published study, which some forty rows have measured.
    floor = luck(load_rows("synthetic")) * math.sqrt(2 / len(given.seeds))
    gain = Gain(gain.px, max(gain.error, floor))
    verdict = "better" if gain.px > 0 else "worse"
    verdict = verdict if gain.sure else "could be luck"
    print(f"{part} part, {cost:.0f} of {budget:.0f} MFLOP,", end=" ")
    print(f"gain {gain.px:+.3f} ± {gain.error:.3f} px: {verdict}")
