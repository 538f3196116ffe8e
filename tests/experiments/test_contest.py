"""docs/contest.py: a reader's own module, within the budget and beyond it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from hglib.experiments.ablation import gains

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "contest.py"
MINE = """from hglib.hourglass import LeanHourglass

class Mine(LeanHourglass):
    def __init__(self):
        super().__init__(widths=({}))
"""


def contest(folder: Path, widths: str, *options: str) -> subprocess.CompletedProcess:
    (folder / "mine.py").write_text(MINE.format(widths))
    tiny = ["--images", "64", "--synthetic-faces", "60", *options]
    command = [sys.executable, str(SCRIPT), str(folder / "mine.py"), *tiny]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_a_small_network_is_judged(tmp_path: Path) -> None:
    run = contest(tmp_path, "8, 16, 32", "--seeds", "0", "1")
    assert run.returncode == 0, run.stderr
    assert re.search(r"(?m)^default +[\d.]+ [\d.]+ px$", run.stdout), run.stdout
    assert "validation part, " in run.stdout, "trying is not done on the test part"
    verdict = re.search(r"(\d+) of (\d+) MFLOP, gain ([+-][\d.]+) ± ([\d.]+) px: (.*)", run.stdout)
    assert verdict and int(verdict[1]) < int(verdict[2])
    px = {
        m[0]: [*map(float, m[1:])] for m in re.findall(r"(\w+) +([\d.]+) ([\d.]+) px", run.stdout)
    }
    gain = sum(a - b for a, b in zip(px["default"], px["mine"], strict=True)) / 2
    assert abs(gain - float(verdict[3])) < 0.011  # the printed errors are rounded
    known = gains.luck(gains.load_rows("synthetic"))  # two seeds: sqrt(2 / 2) of it
    assert float(verdict[4]) >= round(known, 3), "surer than the luck of the published study"


def test_one_that_costs_too_much_is_not(tmp_path: Path) -> None:
    run = contest(tmp_path, "64, 128, 256")
    assert run.returncode == 1
    assert re.search(r"mine\.py: \d+ MFLOP a face; the budget is \d+\n", run.stderr), run.stderr
