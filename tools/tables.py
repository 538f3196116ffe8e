"""The tables of results in README.md and docs/results.md, from the files of the experiments."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean, median

RESULTS = Path("hglib") / "experiments" / "results"
NAMES = {
    "lean": "our default",
    "original": "the network of 2019",
    "pretrained": "our default, from the pretrained weights",
    "lean, harmonised": "our default, harmonised labels",
    "pretrained, harmonised": "from the pretrained weights, harmonised labels",
}
FIGURES = ("mean_px", "median_px", "e05", "e10", "e25")
Groups = dict[tuple[float, str], list[dict]]


def read(root: Path, name: str) -> dict:
    """A results file of the repository."""
    return json.loads((root / RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def by_setting(record: dict) -> Groups:
    """The runs of each budget and network, one for each seed, shortest budget first."""
    groups: Groups = {}
    for run in record["figures"].values():
        groups.setdefault((run["seconds"], run["network"]), []).append(run)
    return dict(sorted(groups.items()))


def errors(row: dict) -> list[str]:
    """The cells of one row's errors."""
    return [f"{row[name]:.2f}" for name in FIGURES[:2]] + [
        f"{100 * row[name]:.1f} %" for name in FIGURES[2:]
    ]


def accuracy_rows(record: dict) -> dict[tuple[float, str], list[str]]:
    """The cells of each budget and network: medians over seeds, without the flip test."""
    rows = {}
    for (seconds, network), runs in by_setting(record).items():
        middle = {name: median(run["plain"][name] for run in runs) for name in FIGURES}
        name = NAMES.get(network, network)
        if all("raw_px" in run["plain"] for run in runs):
            raw = median(run["plain"]["raw_px"] for run in runs)
            name += f" (against raw ones {raw:.2f} px)"
        start = [name, f"{seconds:.0f} s", str(len(runs))]
        rows[seconds, network] = start + errors(middle)
    return rows


HEAD = ["network", "training", "seeds", "mean px", "median px", "e<=.05", "e<=.10", "e<=.25"]


def few_results(root: Path) -> str:
    """README's three rows: the network of 2019, and our default after 30 and 100 seconds."""
    rows = accuracy_rows(read(root, "accuracy"))
    return table(HEAD, [rows[key] for key in ((100, "original"), (30, "lean"), (100, "lean"))])


def accuracy(root: Path) -> str:
    """Every network and budget, and how soon the validation error came down."""
    record, pretrained = read(root, "accuracy"), read(root, "pretrained_on_real")
    blind = [f"{record['about']['mean_position_px']:.2f}", "", "", "", ""]
    never = ["pretrained, never saw a photograph; with the flip test", "synthetic faces only", "1"]
    rows = [["always the mean position", "none", "", *blind], *accuracy_rows(record).values()]
    rows.append(never + errors(pretrained["figures"]["pretrained"]))
    return "\n".join([table(HEAD, rows), "", *crossings(record)])


def crossings(record: dict) -> list[str]:
    """When the validation error of each network's runs first came down to so many px."""
    lines = []
    for (seconds, network), runs in by_setting(record).items():
        times = [run["seconds_to"] for run in runs]
        levels = [px for px in times[0] if all(px in reached for reached in times)]
        when = ", ".join(f"{px} px after {median(t[px] for t in times):.0f} s" for px in levels)
        if when:
            lines.append(f"- {NAMES.get(network, network)}, {seconds:.0f} s in all: {when}")
    looks = "Each run looks at the validation part 20 times. Its error there was first at or below:"
    return [looks, "", *lines]


def gains(root: Path) -> str:
    """The repairs from 2019 to our default, on synthetic and on real faces."""
    records = [read(root, f"ablation_{kind}") for kind in ("synthetic", "real")]
    described = records[0]["about"]["rows"]
    names = [name for name, row in described.items() if row["group"] == "repairs"] + ["default"]
    rows = []
    for name in names:
        synthetic, real = (
            [run for key, run in record["figures"].items() if key.split(", seed ")[0] == name]
            for record in records
        )
        px = [f"{fmean(run['mean_px'] for run in runs):.2f} px" for runs in (synthetic, real)]
        share = f"{100 * fmean(run['e05'] for run in real):.0f} %"
        rows.append([described[name]["what"], *px, share])
    head = ["each on top of those before", "synthetic faces", "real faces", "e<=.05, real"]
    return table(head, rows)


def synthetic(root: Path) -> str:
    """What synthetic faces teach: their number, their parts, and a few real faces besides."""
    figures = read(root, "synthetic_faces")["figures"]
    px = {name: row["mean_px"] for name, row in figures.items()}
    seeds = [px[name] for name in px if name.startswith("2000 synthetic faces")]
    lost = {name: px[name] - fmean(seeds) for name in px if name.startswith("without ")}
    ranked = sorted(lost, key=lost.__getitem__, reverse=True)
    sizes = [name for name in px if name.endswith(" synthetic faces")]
    counts = [name.split()[0] for name in px if name.endswith("real faces alone")]
    parts = [[name.removeprefix("without "), f"{lost[name]:+.2f} px"] for name in ranked]
    after = [
        [
            count,
            f"{px[f'{count} real faces alone']:.2f} px",
            f"{px[f'pretrained, then {count} real faces']:.2f} px",
        ]
        for count in counts
    ]
    span = f"{min(seeds):.2f} to {max(seeds):.2f}"
    nothing = f"Nothing taken away: {span} px in {len(seeds)} seeds (2000 faces)."
    sizes_table = table(
        ["synthetic faces", "error"], [[name.split()[0], f"{px[name]:.2f} px"] for name in sizes]
    )
    heads = ["real faces", "from random weights", "from the pretrained weights"]
    tables = [sizes_table, table(["taken away", "error grows by"], parts), nothing]
    return "\n\n".join([*tables, table(heads, after)])


COSTS = [  # group, beginning of the name, what the table calls it
    ("training", "faces per second", "training, everything included"),
    ("training", "share of the", "the same, share of what a matrix product reaches"),
    ("finding", "64 faces, one thread", "inference, per face in a batch, one core"),
    ("finding", "1 face, one thread", "inference, a face alone, one core"),
    ("heat maps", "gaussian maps", "Gaussian maps of 7000 faces"),
    ("heat maps", "  cell by cell", "their exponential ones as in 2019, cell by cell"),
    ("images", "augmented", "images augmented"),
    ("images", "drawn", "synthetic faces drawn"),
    ("files", "load 7049 rows, npz", "loading 7049 faces, npz and csv"),
    ("files", "load 7049 rows, training", "loading 7049 faces, training.csv"),
    ("imports", "and load", "importing hglib, after torch"),
    ("memory", "20 steps", "peak memory, training on 7000 faces"),
]


def costs(root: Path) -> str:
    """What everything costs, beside the limits of the hardware."""
    record = read(root, "costs")
    rows = []
    for group, start, label in COSTS:
        lines = record["figures"].get(group, {})
        row = next((row for name, row in lines.items() if name.startswith(start)), None)
        if row is None or row["value"] is None:  # not measured, or could not run
            continue
        goal = f"{row['goal']} {row['unit']}" if row["goal"] else ""
        cells = [amount(row["value"], row["unit"]), amount(row["limit"], row["unit"]), goal]
        rows.append([label, *cells])
    limits = record["figures"]["limits of the hardware"]
    named = (f"{name} {amount(row['value'], row['unit'])}" for name, row in limits.items())
    rounds = record["about"]["rounds"]
    how = f"{record['machine']}, torch {record['torch']}, medians of {rounds} rounds"
    head = ["", "measured", "limit of the hardware", "goal"]
    return "\n".join(
        [table(head, rows), "", f"Measured in the same run ({how}): {'; '.join(named)}."]
    )


def amount(value: float | None, unit: str) -> str:
    """A value to three digits with its unit; nothing for None."""
    if value is None:
        return ""
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


README = {"results": few_results}
DOCS = {"accuracy": accuracy, "gains": gains, "synthetic": synthetic, "costs": costs}
