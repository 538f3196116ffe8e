"""`train`: fit a network and save it."""

from __future__ import annotations

import argparse
from typing import Any

from hglib.commands.common import SEED, add_data, add_network, add_raw_labels, load_parts, number


def add(commands: Any) -> None:
    """The options of `train`."""
    networks = ["lean", "original", "stacked", "pretrained"]  # the last: lean, already trained
    train = commands.add_parser("train", help="train a network and save it")
    train.set_defaults(run=run)
    train.add_argument("--network", default="lean", choices=networks)
    budget = train.add_mutually_exclusive_group()
    budget.add_argument(
        "--seconds",
        type=number(float, 0, 1e7, above=True),
        help="how long to train (100 when not given)",
    )
    budget.add_argument(
        "--epochs",
        type=number(float, 0, 1e6, above=True),
        help="or: how many passes over the faces",
    )
    train.add_argument("--seed", type=SEED, default=0, help="another seed, another run (0)")
    train.add_argument("--out", default="runs/last", help="folder for the weights (runs/last)")
    train.add_argument("--resume", action="store_true", help="go on where --out was interrupted")
    train.add_argument(
        "--batch",
        type=number(int, 2, 65536),
        help="faces per step, over all processes (32; 256 on a GPU)",
    )
    kinds = ["auto", "float32", "bfloat16", "float16"]
    train.add_argument("--precision", choices=kinds, help="of the convolutions (auto)")
    train.add_argument(
        "--mirror",
        type=number(float, 0, 1),
        metavar="SHARE",
        help="share of the faces shown mirrored (.5 where the labels were harmonised, else 0)",
    )
    add_network(train)
    add_data(train)
    add_raw_labels(train)


def run(options: argparse.Namespace) -> None:
    """`train`: fit a network and leave best and last weights in --out.

    Under torchrun each of its processes runs this.
    """
    from dataclasses import replace

    import torch

    from hglib.parallel import joined
    from hglib.recipes import beginning, recipe
    from hglib.train import fit, print_row

    with joined(options.device) as group:
        loaded = load_parts(options, verbose=group.writer)
        parts, mirror = loaded.used, options.mirror
        if mirror is None and loaded.finding and loaded.finding.moved:
            mirror = 0.5  # the labels have no side any more
        torch.manual_seed(options.seed)
        points = {} if options.landmarks == "eyes" else {"landmarks": len(parts.train.landmarks)}
        model = beginning(options.network, **points).to(group.device)
        changes: dict[str, Any] = {"seconds": options.seconds, "epochs": options.epochs}
        if options.seconds is None and options.epochs is None:
            changes["seconds"] = 100.0
        for name in ("batch", "precision"):
            if getattr(options, name) is not None:
                changes[name] = getattr(options, name)
        config = recipe(options.network, group.device.type, seed=options.seed, **changes)
        if mirror is not None:
            config = replace(config, augment=replace(config.augment, mirror=mirror))
        if group.writer and config.batch > len(parts.train):
            print(f"a batch of {config.batch} shows some of the {len(parts.train)} faces twice")
        go_on, train, validation = options.resume, parts.train, parts.validation
        result = fit(model, train, validation, config, options.out, go_on, print_row, group=group)
        if group.writer:
            state = "interrupted, go on with --resume" if result.interrupted else "done"
            told = f"{state}: {result.steps} steps, {result.seconds:.0f} s"
            print(f"{told}; weights in {options.out}/")
