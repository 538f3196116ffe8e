"""Supplies: Kaggle's files, the synthetic faces, and what a set of faces says about itself."""

from hglib.datasets.sources import load, locate

__all__ = ["load", "locate"]
