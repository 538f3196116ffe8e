"""The contest: your own network under a budget of operations, judged by gain and luck.

    python docs/contest.py mine.py              # mine.py defines `class Mine(nn.Module)`
    python docs/contest.py mine.py --seeds 0    # one quick run, without a verdict

Trained and measured as the rows of `python -m hglib experiment ablation` are: the same operations
in training for everybody, so a smaller network is shown more images. Some 15 s a run on two cores.
"""

import argparse
import runpy

from hglib.anatomy import flops
from hglib.anatomy.variants import VARIANTS
from hglib.experiments.ablation.gains import paired
from hglib.experiments.ablation.rows import Plan
from hglib.experiments.ablation.study import IMAGES, Runner, default_flops, load_data

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("file", help="your Python file; it defines the class Mine")
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
runner = Runner(load_data("synthetic", given.synthetic_faces), given.images)
px = {row.name: [runner.run(row, seed)["mean_px"] for seed in given.seeds] for row in rows}
for name, errors in px.items():
    print(f"{name:8}", " ".join(f"{error:.2f}" for error in errors), "px")
if len(given.seeds) > 1:
    gain = paired(px["mine"], px["default"])
    verdict = "better" if gain.px > 0 else "worse"
    verdict = verdict if gain.sure else "could be luck"
    print(f"{cost:.0f} of {budget:.0f} MFLOP, gain {gain.px:+.3f} ± {gain.error:.3f} px: {verdict}")
