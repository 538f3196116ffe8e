"""Measurements: every figure that the notebooks and docs/results.md show comes from a module here.

`python -m hglib experiment --list` names them. Each module defines MEASURES and TAKES (in words),
DATA ("any", "real" or "synthetic" faces), OPTIONS, `jobs` (the rows that are to be measured) and
`show` (prints them); `runner` does the rest. To add one, write such a module and name it here.
"""

EXPERIMENTS = {  # name on the command line: module
    "accuracy": "accuracy",
    "ablation": "ablation.study",
    "synthetic_faces": "synthetic_faces",
    "landmarks15": "landmarks15",
    "plateau": "plateau",
    "scenes": "scenes",
    "speed": "speed",
    "costs": "costs",
    "pretrain": "pretrain",
    "coordinates": "coordinates",
}
