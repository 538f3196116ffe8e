"""Reads the images of an .npz file: its header first, then no more bytes than belong to it.

The header is matched against a pattern, never evaluated, and objects are never unpickled, so that
no file can run code or ask for more memory than its faces need.
"""

from __future__ import annotations

import math
import re
import struct
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

IMAGES_KEY = "face_images"
LABELS_FILE = "facial_keypoints.csv"
REMEDY = (
    "download https://www.kaggle.com/datasets/drgilermo/face-images-with-marked-landmark-points, "
    "or set HGLIB_DATA=synthetic for the built-in faces"
)
BLOCK = 256  # images converted at a time: keeps temporary arrays below 20 MB
MOST_BYTES = 10**9
LONGEST_HEADER = 10_000
FEW = 5  # images that may all be dark
HEADER = re.compile(
    r"\s*\{\s*'descr':\s*(?P<descr>'[^']{1,40}'|\[.*\]),\s*'fortran_order':\s*(?P<fortran>True|False),"
    r"\s*'shape':\s*\((?P<shape>[\dL, ]{0,200})\),?\s*\}\s*",
    re.DOTALL,
)


def read_images(path: Path, rows: int) -> np.ndarray:
    """Images (N, H, W) uint8 from an .npz file, whichever of its axes counts the images.

    Args:
        path: holds one array called `face_images`.
        rows: of the label table: N must be the same.

    Raises:
        ValueError: naming the file, what is wrong with it, and the remedy.
    """
    array = _read_array(path, rows)
    stacked = np.moveaxis(array, _image_axis(array, rows), 0)  # (N, H, W)
    factor = _grey_factor(array, path)
    images = np.empty(stacked.shape, np.uint8)
    for start in range(0, len(stacked), BLOCK):
        block = slice(start, start + BLOCK)
        images[block] = stacked[block] if factor is None else np.rint(stacked[block] * factor)
    return images


def _read_array(path: Path, rows: int) -> np.ndarray:
    damaged = f"{path}: not a whole .npz file (damaged, or cut short by a broken download)"
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            entry = entries.get(f"{IMAGES_KEY}.npy")
            if entry is None:
                names = ", ".join(name.removesuffix(".npy")[:40] for name in list(entries)[:6])
                raise ValueError(
                    f"{path}: no array called {IMAGES_KEY}, only {names or 'none'}; "
                    f"save the images with np.savez(path, {IMAGES_KEY}=images)"
                )
            if entry.flag_bits & 1:
                raise ValueError(f"{path}: encrypted; unpack it and save it without a password")
            with archive.open(entry) as stream:
                return _read_stream(stream, path, rows, damaged)
    except Exception as error:  # each way of compressing has errors of its own
        if isinstance(error, ValueError) and str(path) in str(error):
            raise
        raise ValueError(f"{damaged}: {error}; download it again") from error


def _read_stream(stream: IO[bytes], path: Path, rows: int, damaged: str) -> np.ndarray:
    dtype, fortran, shape = _read_header(stream, path, damaged)
    _check_shape(shape, dtype, rows, path)
    content = np.empty(math.prod(shape) * dtype.itemsize, np.uint8)
    view, at = memoryview(content), 0
    while at < len(content):
        got = stream.read(min(1 << 20, len(content) - at))
        if not got:
            raise ValueError(f"{damaged}; download it again")
        view[at : at + len(got)] = got
        at += len(got)
    if stream.read(1):  # also where the checksum is compared
        raise ValueError(f"{damaged}: more values than its shape {shape}; download it again")
    return content.view(dtype).reshape(shape, order="F" if fortran else "C")


def _read_header(
    stream: IO[bytes], path: Path, damaged: str
) -> tuple[np.dtype, bool, tuple[int, ...]]:
    start = stream.read(8)
    if start[:6] != b"\x93NUMPY" or start[6:7] not in (b"\1", b"\2", b"\3"):
        raise ValueError(f"{damaged}: {IMAGES_KEY} is no array; download it again")
    kind = "<H" if start[6] == 1 else "<I"
    size = stream.read(struct.calcsize(kind))
    length = struct.unpack(kind, size)[0] if len(size) == struct.calcsize(kind) else 0
    header = stream.read(length) if length <= LONGEST_HEADER else b""
    found = HEADER.fullmatch(header.decode("latin-1"))
    if found is None:
        raise ValueError(f"{damaged}: its header is no array's; download it again")
    shape = tuple(int(n.strip(" L")) for n in found["shape"].split(",") if n.strip(" L"))
    return _dtype(found["descr"], path), found["fortran"] == "True", shape


def _dtype(descr: str, path: Path) -> np.dtype:
    text = descr.strip("'")
    if text.endswith("O") or "O'" in text:
        raise ValueError(
            f"{path}: array {IMAGES_KEY} holds Python objects, which are never unpickled "
            "because that can run code; save it as an array of dtype uint8"
        )
    if not re.fullmatch(r"[<>|=]?[uif]\d{1,2}", text):
        raise ValueError(f"{path}: array {IMAGES_KEY} has dtype {text[:40]}; save it as uint8")
    try:
        return np.dtype(text)
    except TypeError as error:
        raise ValueError(f"{path}: array {IMAGES_KEY} has dtype {text}: {error}") from error


def _check_shape(shape: tuple[int, ...], dtype: np.dtype, rows: int, path: Path) -> None:
    where = f"{path}: array {IMAGES_KEY} of shape {shape}"
    if len(shape) != 3:
        raise ValueError(f"{where}: expected grey images as (96, 96, {rows}) or ({rows}, 96, 96)")
    if 0 in shape:
        raise ValueError(f"{where} holds no image; {REMEDY}")
    counts = {shape[axis] for axis in _possible_axes(shape, rows)}
    if not counts:
        raise ValueError(
            f"{where}: neither its first nor its last axis is the {rows} rows of the label table; "
            f"expected (96, 96, {rows}) or ({rows}, 96, 96)"
        )
    if rows not in counts:
        raise ValueError(
            f"{where} holds {counts.pop()} images, but {LABELS_FILE} has {rows} rows: "
            "image i belongs to row i, so use two files of the same download"
        )
    if math.prod(shape) * dtype.itemsize > MOST_BYTES:
        needed = math.prod(shape) * dtype.itemsize / 1e9
        raise ValueError(f"{where} needs {needed:.3g} GB; save it as uint8, or in several files")


def _possible_axes(shape: tuple[int, ...], rows: int) -> list[int]:
    """The axes that may count the images, Kaggle's (96, 96, N) first: images are square."""
    first, second, last = shape
    if first == second == last:
        return [2, 0]
    if first == second or second == last:
        return [2] if first == second else [0]
    return [axis for axis in (2, 0) if shape[axis] == rows]


def _image_axis(array: np.ndarray, rows: int) -> int:
    """The axis that counts the images; where two may, the one with the larger steps along it.

    Neighbouring pixels of a face are much alike, the same pixels of two faces are not. Where both
    steps are about the same (noise), Kaggle's order.
    """
    axes = _possible_axes(array.shape, rows)
    if len(axes) == 1:
        return axes[0]
    some = array[:, array.shape[1] // 4 :: 8]
    first, last = (np.abs(np.diff(some.astype(np.float32), axis=axis)).mean() for axis in (0, 2))
    return 0 if first > 1.5 * last else 2


def _grey_factor(array: np.ndarray, path: Path) -> float | None:
    """What takes the values to 0..255; None for whole numbers, which are there already.

    The whole file decides, never a single image: floats up to 1 run from 0 to 1.
    """
    low, high = array.min(), array.max()
    where = f"{path}: array {IMAGES_KEY}"
    if np.isnan(low) or np.isnan(high):
        raise ValueError(f"{where} has NaN pixels; an image needs every pixel")
    if low < 0 or high > 255:
        raise ValueError(
            f"{where} runs from {low:g} to {high:g}; "
            "expected grey levels from 0 to 255, or floats from 0 to 1"
        )
    if array.dtype.kind == "f" and high <= 1:
        if ((array == 0) | (array == 1)).all():
            raise ValueError(f"{where} holds nothing but 0 and 1; grey levels are needed")
        return 255.0
    check_brightness(array, where)
    return None if array.dtype.kind != "f" else 1.0


def check_brightness(images: np.ndarray, where: str) -> None:
    """Refuse a set whose brightest pixel is so dark that the scale must be another than 0 to 255.

    Few images of whole numbers may all be dark; floats up to 100 are likely per cent.
    """
    high = images.max()
    many = images.size > FEW * 96 * 96
    limit = 127 if many else 100 if images.dtype.kind == "f" else 1
    if high <= limit:
        raise ValueError(
            f"{where}: the brightest pixel of all is {high:g}, so the grey levels are likely not "
            "from 0 to 255; multiply them to reach 255 and save them again"
        )
