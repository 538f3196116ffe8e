"""The command line: `python -m hglib data | train | evaluate | find | study`.

A thin layer: each command turns its arguments into one call of the library and prints the result.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from hglib.data import EYES, Faces, Split, duplicate_groups, load, split
from hglib.survey import describe

PARTS = ("train", "validation", "test")
DATA_HELP = (
    "a folder with Kaggle's face_images.npz and facial_keypoints.csv, a training.csv, or the word "
    "synthetic; without it: the variable HGLIB_DATA, then Kaggle, then synthetic faces"
)


def parser() -> argparse.ArgumentParser:
    """All commands and their options. Taught in: 00_start_here"""
    top = argparse.ArgumentParser(
        prog="python -m hglib",
        description="Find the centres of both eyes in 96x96 grey faces with an hourglass network.",
        epilog="Start with: python -m hglib train --seconds 30",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    data = commands.add_parser("data", help="say what is in a data set, and how it is split")
    data.set_defaults(run=run_data)
    data.add_argument("--save", metavar="FILE", help="also write a description of it as JSON")
    train = add_train(commands)
    judge = commands.add_parser("evaluate", help="measure a network's error on the test part")
    judge.set_defaults(run=run_evaluate)
    judge.add_argument("weights", nargs="*", help="files from train (the shipped ones)")
    judge.add_argument("--part", default="test", choices=PARTS, help="which faces (test)")
    judge.add_argument("--flip", action="store_true", help="average with the mirrored picture")
    style = judge.add_mutually_exclusive_group()
    style.add_argument("--json", action="store_true", help="print figures for a program to read")
    style.add_argument("--table", action="store_true", help="print one line per network (default)")
    find = commands.add_parser("find", help="find every face in photos, and both its eyes")
    find.set_defaults(run=run_find)
    find.add_argument("photos", nargs="+", metavar="PHOTO", help="picture files of any size")
    find.add_argument("--weights", help="a file from train (the shipped ones)")
    find.add_argument("--csv", metavar="FILE", help="write the table there (to the screen)")
    find.add_argument("--annotate", metavar="FOLDER", help="save pictures with the eyes marked")
    find.add_argument(
        "--box", nargs=4, type=float, metavar=("X", "Y", "W", "H"), help="look only there, in px"
    )
    find.add_argument("--smallest", type=float, metavar="PX", help="width of the smallest face")
    add_study(commands)
    for command in (train, judge):
        command.add_argument("--landmarks", default="eyes", choices=["eyes", "all"], help="(eyes)")
        command.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    for command in (data, train, judge):
        command.add_argument("--data", help=DATA_HELP)
        command.add_argument("--synthetic-faces", type=int, default=2000, metavar="N")
    return top


def add_train(commands: Any) -> argparse.ArgumentParser:
    """The options of `train`. Taught in: 04_training, 08_further_and_faster"""
    networks = ["lean", "original", "stacked", "shipped"]  # the last: lean, already trained
    train = commands.add_parser("train", help="train a network and save it")
    train.set_defaults(run=run_train)
    train.add_argument("--network", default="lean", choices=networks)
    budget = train.add_mutually_exclusive_group()
    budget.add_argument("--seconds", type=float, help="how long to train (100 when not given)")
    budget.add_argument("--epochs", type=float, help="or: how many passes over the faces")
    train.add_argument("--seed", type=int, default=0, help="another seed, another run (0)")
    train.add_argument("--out", default="runs/last", help="folder for the weights (runs/last)")
    train.add_argument("--resume", action="store_true", help="go on where --out was interrupted")
    train.add_argument("--batch", type=int, help="faces per step, over all processes (32)")
    train.add_argument(
        "--precision", choices=["auto", "float32", "bfloat16"], help="of the convolutions (auto)"
    )
    return train


def add_study(commands: Any) -> None:
    """The options of `study`. Taught in: 06_why_it_works"""
    study = commands.add_parser("study", help="measure what each part is worth, row by row")
    study.set_defaults(run=run_study)
    study.add_argument("--rows", nargs="+", metavar="NAME", help="only these rows (all)")
    study.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="(0 1 2)")
    study.add_argument("--save", metavar="FILE", help="where results are kept and looked for")
    study.add_argument("--list", action="store_true", help="print the rows and what they cost")
    study.add_argument("--data", help=DATA_HELP)
    study.add_argument("--synthetic-faces", type=int, default=6000, metavar="N")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status. Errors a user can mend are one line, without a traceback.

    Taught in: 00_start_here
    """
    options = parser().parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"hglib {options.command}: {error}", file=sys.stderr)
        return 1
    return 0


def load_parts(options: argparse.Namespace, verbose: bool = True) -> Split:
    """The data set of the command line, split. Taught in: 00_start_here"""
    count, landmarks = options.synthetic_faces, options.landmarks
    faces = load(options.data, landmarks, n_synthetic=count, verbose=verbose)
    return split(faces)


def run_data(options: argparse.Namespace) -> None:
    """`data`: counts, duplicates, split, positions. Taught in: 01_explore_the_data"""
    faces = load(options.data, n_synthetic=options.synthetic_faces)
    groups = duplicate_groups(faces.images)
    print(f"groups of near-duplicates counted once: {len(np.unique(groups))} pictures")
    print("split:", ", ".join(f"{n} {len(p)}" for n, p in zip(PARTS, split(faces), strict=True)))
    mean, spread = np.nanmean(faces.points, axis=0), np.nanstd(faces.points, axis=0)  # (K, 2)
    for name, m, s in zip(faces.landmarks, mean, spread, strict=True):
        print(f"{name}: x {m[0]:.1f} +- {s[0]:.1f}, y {m[1]:.1f} +- {s[1]:.1f} px, 0-based")
    if options.save:
        every = load(options.data, "all", n_synthetic=options.synthetic_faces, verbose=False)
        command = "python -m hglib data --data FOLDER --save FILE"
        said = {"about": every.source, "command": command, **describe(every)}
        Path(options.save).write_text(json.dumps(said, indent=2) + "\n")


def run_train(options: argparse.Namespace) -> None:
    """`train`: fit a network and leave best and last weights in --out; under torchrun, each of its
    processes runs this. Taught in: 04_training, 08_further_and_faster"""
    import torch

    from hglib.distributed import joined
    from hglib.recipes import beginning, recipe
    from hglib.train import fit, print_row

    with joined(options.device) as group:
        parts = load_parts(options, verbose=group.writer)
        torch.manual_seed(options.seed)
        points = {} if options.landmarks == "eyes" else {"landmarks": len(parts.train.landmarks)}
        model = beginning(options.network, **points).to(group.device)
        changes: dict[str, Any] = {"seconds": options.seconds, "epochs": options.epochs}
        if options.seconds is None and options.epochs is None:
            changes["seconds"] = 100.0
        for name in ("batch", "precision"):
            if getattr(options, name) is not None:
                changes[name] = getattr(options, name)
        config = recipe(options.network, seed=options.seed, **changes)
        result = fit(
            model, parts.train, parts.validation, config, options.out, options.resume, print_row
        )
        if group.writer:
            state = "interrupted, go on with --resume" if result.interrupted else "done"
            told = f"{state}: {result.steps} steps, {result.seconds:.0f} s"
            print(f"{told}; weights in {options.out}/")


def run_evaluate(options: argparse.Namespace) -> None:
    """`evaluate`: figures of one or more networks, beside the mean-position baseline.

    Taught in: 05_evaluation
    """
    from hglib.metrics import evaluate, mean_position_baseline

    parts = load_parts(options, verbose=not options.json)
    part: Faces = getattr(parts, options.part)
    rows = {}
    guess = mean_position_baseline(parts.train.points, len(part))
    eyes = tuple(map(part.landmarks.index, EYES))
    rows["mean position"] = evaluate(guess, part.points, eyes=eyes).row()
    for name, path in weight_files(options.weights).items():
        rows[name] = evaluate_file(path, part, options.flip, options.device)
    if options.json:
        about = {"data": part.source, "part": options.part, "flip": options.flip}
        # JSON has no NaN: a figure that is not defined (a baseline's confidence) is null.
        plain = {n: {k: v if v == v else None for k, v in r.items()} for n, r in rows.items()}
        print(json.dumps({**about, "results": plain}, indent=2, allow_nan=False))
    else:
        print_table(rows)


def weight_files(given: Sequence[str]) -> dict[str, Path]:
    """Name and path of each weights file: those given, or all that are shipped.

    Taught in: 05_evaluation
    """
    from hglib.checkpoint import shipped

    return {path: Path(path) for path in given} if given else shipped()


def evaluate_file(path: Path, part: Faces, flip: bool, device: str = "cpu") -> dict[str, float]:
    """The figures of the network in one file. Taught in: 05_evaluation"""
    from hglib.checkpoint import load_model
    from hglib.distributed import choose_device
    from hglib.inference import predict
    from hglib.metrics import evaluate

    model = load_model(path).to(choose_device(device))
    count = model.settings.get("landmarks", len(EYES))
    if count != len(part.landmarks):
        raise ValueError(
            f"{path} finds {count} points, but {len(part.landmarks)} were asked for: "
            "choose --landmarks eyes or --landmarks all, as in training"
        )
    found = predict(model, part.images, part.mirror_order if flip else None)
    eyes = tuple(map(part.landmarks.index, EYES))
    return evaluate(found.points.numpy(), part.points, found.confidence.numpy(), eyes).row()


def print_table(rows: dict[str, dict[str, float]]) -> None:
    """One line per network, the columns a reader compares. Taught in: 05_evaluation"""
    width = max(len(name) for name in rows)
    print(f"{'':{width}}  mean px  median  e<=.05  e<=.10  e<=.25   faces")
    for name, row in rows.items():
        shares = "  ".join(f"{100 * row[key]:5.1f}%" for key in ("e05", "e10", "e25"))
        middle = f"{row['mean_px']:7.2f}  {row['median_px']:6.2f}  {shares}"
        print(f"{name:{width}}  {middle}  {row['n']:6.0f}")


def run_study(options: argparse.Namespace) -> None:
    """`study`: train and measure the missing rows, and print them. Taught in: 06_why_it_works"""
    from hglib.study import run_study as run

    run(options)


def run_find(options: argparse.Namespace) -> None:
    """`find`: one line of csv per face, in its photo's own pixels.

    A photo that cannot be read stops no other one; all that is wrong is said at the end.

    Taught in: 07_your_own_photo
    """
    from hglib.checkpoint import load_model
    from hglib.photo_files import save_marked, search, table_rows, write_table

    (path,) = list(weight_files([options.weights] if options.weights else []).values())[:1]
    model, rows, unread = load_model(path), [], []
    for photo in options.photos:
        try:
            picture, faces = search(model, photo, options.box, options.smallest)
        except (ValueError, OSError) as error:
            unread.append(str(error))
            continue
        rows += table_rows(photo, faces)
        if not faces:
            print(f"{photo}: no face found; try --smallest or --box", file=sys.stderr)
        if options.annotate:
            save_marked(Path(options.annotate), photo, picture, faces)
    if len(unread) < len(options.photos):
        with open(options.csv, "w", newline="") if options.csv else nullcontext(sys.stdout) as file:
            write_table(file, rows)
    if unread:
        raise ValueError("; ".join(unread))
