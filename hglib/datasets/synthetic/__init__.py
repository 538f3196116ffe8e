"""Procedural grey faces with exact landmarks: as many as wanted, and no one's photograph.

A face is a 3-D head (`head`) seen by a `camera`, with eyes (`eyes`), features (`face`), hair and
hats (`hair`), glasses (`glasses`), in a scene (`scene`) with light (`light`), developed as a
photograph (`photo`). `draw` puts the layers together; `kaggle` writes sets in Kaggle's layout.
"""

from hglib.data import LANDMARKS

from .draw import SyntheticFaces, draw_faces, draw_layers
from .kaggle import write_kaggle_files
from .style import Style

__all__ = [
    "LANDMARKS",
    "Style",
    "SyntheticFaces",
    "draw_faces",
    "draw_layers",
    "write_kaggle_files",
]
