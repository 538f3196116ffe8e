"""Bad input, in families: it gives the right result, or one sentence that names the culprit.

Never another exception, a silent wrong result, a hang or more than 2 GB. Each family is a table of
cases and one test that lists the cases that went wrong; hypothesis adds what nobody thought of.
`make fuzz` (HGLIB_FUZZ=10) tries ten times as many of those.
"""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from hglib import checkpoint, commands, heatmap, metrics
from hglib.augment import Augment, augment
from hglib.data import Faces
from hglib.datasets import load
from hglib.datasets.kaggle import IMAGES_FILE, LABELS_FILE, read_kaggle
from hglib.datasets.split import duplicate_groups
from hglib.hourglass import build
from hglib.inference import as_input, predict
from hglib.losses import Objective, total_loss
from hglib.photo import crop, detect, image, label
from hglib.photo.eyes import find_eyes
from hglib.train import TrainConfig, TrainingError

FUZZ = int(os.environ.get("HGLIB_FUZZ", "1"))
SECONDS = 10  # for one case; none needs one second on a quiet machine
MEMORY = 2 << 30  # bytes that one case may ask for
SENTENCES = (ValueError, OSError, TrainingError)
LONGEST = 700  # characters; two paths and a remedy fit
TRIED: dict[str, int] = {}  # family: its cases, for the count at the end
NAN, INF = float("nan"), float("inf")
EYES = ("left_eye_center", "right_eye_center")


pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="no alarm on Windows")


class Hang(BaseException):
    """Not an Exception: nothing on the way may take it for a sentence of its own."""


class Case(NamedTuple):
    """`right` says whether a result is right; None where there can be none. `name` is in the
    sentence."""

    title: str
    call: Callable[[], Any]
    name: str = ""
    right: Callable[[Any], bool] | None = None


@contextmanager
def limits() -> Iterator[None]:
    """An alarm after SECONDS, and, where the system can, an end to memory after MEMORY."""

    def ring(number: int, frame: Any) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    status = Path("/proc/self/statm")
    if status.exists():
        import resource

        old = resource.getrlimit(resource.RLIMIT_AS)
        now = int(status.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, old[1]))
    try:
        yield
    finally:
        if status.exists():
            resource.setrlimit(resource.RLIMIT_AS, old)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def fault(case: Case, allowed: tuple[type[BaseException], ...] = SENTENCES) -> str:
    """What is wrong with what came of a case; "" when all is well."""
    try:
        with limits():
            result = case.call()
    except allowed as error:
        said = str(error)
        if not said or len(said) > LONGEST or "\n" in said.strip():
            return f"{case.title}: {type(error).__name__} says {said[:200]!r}: not one sentence"
        if isinstance(error, TypeError):  # Python's own word for what is no number or no array
            return f"{case.title}: {said}" if "keyword argument" in said else ""
        return "" if case.name in said else f"{case.title}: {case.name!r} is not in {said[:200]!r}"
    except Hang:
        return f"{case.title}: no end after {SECONDS} s"
    except Exception as error:
        return f"{case.title}: {type(error).__name__}: {str(error)[:160]}"
    if case.right is None:
        return f"{case.title}: accepted without a word"
    return "" if case.right(result) else f"{case.title}: a wrong result"


def try_all(family: str, cases: list[Case], **options: Any) -> None:
    TRIED[family] = len(cases)
    wrong = [said for case in cases if (said := fault(case, **options))]
    assert not wrong, f"{len(wrong)} of {len(cases)} {family}:\n  " + "\n  ".join(wrong)


def often(examples: int) -> Callable[[Callable], Callable]:
    """hypothesis's settings: the same examples every time, other ones in a long run."""
    quiet = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    return settings(
        max_examples=examples * FUZZ,
        deadline=None,
        derandomize=FUZZ == 1,
        database=None,
        suppress_health_check=quiet,
    )


@pytest.fixture(autouse=True, scope="module")
def one_thread(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HGLIB_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("HGLIB_DATA", "synthetic")
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(threads)


# ---- checkpoints ----------------------------------------------------------------------------

SETTINGS = {"name": "lean", "widths": [4, 8]}


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return build(**SETTINGS).eval()


@pytest.fixture(scope="module")
def saved(network: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("net") / "good.safetensors"
    checkpoint.save(path, network)
    return path


def same_network(network: torch.nn.Module) -> Callable[[Any], bool]:
    def right(loaded: torch.nn.Module) -> bool:
        own, other = network.state_dict(), loaded.state_dict()
        return own.keys() == other.keys() and all(torch.equal(own[k], other[k]) for k in own)

    return right


HEADERS: list[tuple[str, Any]] = [
    *[(f"network {n!r}"[:60], {"format": 1, "network": n, "about": {}}) for n in (
        [], "lean", 3, True, {"name": 3}, {"name": None}, {"name": "leen"}, {"name": ["lean"]},
        {"widths": [4, 8], "name": "lean", "from_a_newer_version": 1},
        *({**SETTINGS, "widths": w} for w in (
            [], [0], [-4, 8], ["4", 8], [4.5, 8], 8, "48", None, [1] * 10_000, [10**9, 8], [NAN])),
        *({**SETTINGS, "landmarks": k} for k in (
            10**9, 0, -1, 2.5, "2", None, NAN, INF, True, [2], 15)),
    )],
    *[(f"format {f!r}", {"format": f, "network": SETTINGS, "about": {}})
      for f in (None, 0, -1, 99, "1", [1], {}, 1.5, NAN)],
    ("no format", {"network": SETTINGS}),
    ("no network", {"format": 1}),
    ("a list", []), ("a number", 3), ("null", None), ("a text", "lean"),
]  # fmt: skip


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], header: Any) -> Path:
    from safetensors.torch import save_file

    text = header if isinstance(header, str) and header[:1] == "!" else json.dumps(header)
    save_file(tensors, path, metadata={"hglib": text})
    return path


def checkpoint_files(folder: Path, network: torch.nn.Module, good: bytes) -> Iterator[Path]:
    header = {"format": 1, "network": SETTINGS, "about": {}}
    tensors = {f"model/{k}": v.contiguous().clone() for k, v in network.state_dict().items()}
    first = next(k for k, v in tensors.items() if v.is_floating_point() and v.ndim > 1)
    for number, (_, other) in enumerate(HEADERS):
        yield write_tensors(folder / f"header{number}.safetensors", tensors, other)
    yield write_tensors(folder / "no-json.safetensors", tensors, "!{")
    changed = {
        "int": tensors[first].to(torch.int32),
        "bool": tensors[first] > 0,
        "nan": torch.full_like(tensors[first], NAN),
        "inf": torch.full_like(tensors[first], INF),
        "flat": tensors[first].flatten(),
        "empty": tensors[first][:0],
        "wide": torch.cat([tensors[first]] * 2),
    }
    for kind, tensor in changed.items():
        yield write_tensors(folder / f"{kind}.safetensors", {**tensors, first: tensor}, header)
    lacking = {k: v for k, v in tensors.items() if k != first}
    yield write_tensors(folder / "lacking.safetensors", lacking, header)
    extra = {**tensors, "model/extra": torch.zeros(3)}
    yield write_tensors(folder / "extra.safetensors", extra, header)
    yield write_tensors(folder / "none.safetensors", {}, header)
    raw = {
        "empty-file": b"", "text": b"hello\n", "zip": b"PK\x03\x04" + bytes(60), "pickle": b"\x80\x02}q.",
        "long-header": struct.pack("<Q", 1 << 62) + good[8:], "zero-header": bytes(8) + good[8:],
        "brackets": struct.pack("<Q", 9000) + b"[" * 9000, "bom": b"\xef\xbb\xbf" + good,
        **{f"cut{share}": good[: len(good) * share // 10] for share in range(1, 10)},
        "cut-last": good[:-1], "longer": good + b"x",
    }  # fmt: skip
    for kind, content in raw.items():
        (folder / f"{kind}.safetensors").write_bytes(content)
        yield folder / f"{kind}.safetensors"
    (folder / "folder.safetensors").mkdir()
    yield folder / "folder.safetensors"
    yield folder / "gone.safetensors"


def test_checkpoints(tmp_path: Path, network: torch.nn.Module, saved: Path) -> None:
    paths = list(checkpoint_files(tmp_path, network, saved.read_bytes()))
    titles = [f"{HEADERS[n][0]}: " if n < len(HEADERS) else "" for n in range(len(paths))]
    cases = [
        Case(title + path.stem, lambda path=path: checkpoint.load_model(path), path.name)
        for title, path in zip(titles, paths, strict=True)
    ]
    try_all("checkpoints", cases)


@often(60)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_checkpoint_with_one_bit_flipped(
    place: float, bit: int, network: torch.nn.Module, saved: Path, tmp_path: Path
) -> None:
    content = bytearray(saved.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path = tmp_path / "flipped.safetensors"
    path.write_bytes(content)
    case = Case("flipped", lambda: checkpoint.load_model(path), path.name, same_network(network))
    assert not fault(case)


# ---- npz and csv ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def faces(one_thread: None) -> Faces:
    return load("synthetic", "all", n_synthetic=60, verbose=False)


@pytest.fixture
def folder(tmp_path: Path, faces: Faces) -> Path:
    return label.write_labels(tmp_path / "faces", faces)


def npz_bytes(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def header_only(shape: str, dtype: str = "|u1", depth: int = 0) -> bytes:
    """An npz whose array promises a shape and holds nothing."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {'[' * depth}{shape}, }}"
    text += " " * (-len(text) % 64) + "\n"
    npy = b"\x93NUMPY\x02\x00" + struct.pack("<I", len(text)) + text.encode()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("face_images.npy", npy)
    return file.getvalue()


def npz_cases(images: np.ndarray) -> dict[str, bytes | dict[str, Any]]:
    """Files for these images (N, 96, 96); those with arrays may be read right."""
    n, good = len(images), npz_bytes(face_images=images)
    share = images / 255.0
    wrong = {
        "integers 0 and 1": (images > 127).astype(np.uint8),
        "floats 0 to 100": share * 100, "floats -1 to 1": share * 2 - 1, "floats to 1.5": share * 1.5,
        "negative": images.astype(int) - 300, "too light": images.astype(int) + 200,
        "nan": np.where(images > 250, NAN, share), "inf": np.where(images == images.max(), INF, share),
        "text": images.astype(str)[:, :2, :2], "complex": share + 1j, "bool": images > 127,
        "flat": images.reshape(n, -1), "colour": images[..., None].repeat(3, -1), "scalar": np.array(3),
        "one face": images[0], "one too few": images[:-1], "one too many": images[[0, *range(n)]],
        "none": images[:0], "no pixels": images[:, :0], "objects": images.astype(object)[:, :1, :1],
        "dates": images.astype("datetime64[s]"), "records": images[:, :1, :1].astype([("a", "u1")]),
    }  # fmt: skip
    cases: dict[str, Any] = {name: npz_bytes(face_images=array) for name, array in wrong.items()}
    cases |= {
        "another key": npz_bytes(images=images), "no array": npz_bytes(), "an npy": good[128:],
        "empty": b"", "text file": b"left_eye_center_x\n1\n", "cut": good[: len(good) // 2],
        "cut at the end": good[:-30], "shape 10^12": header_only("(1000000000000, 96, 96)"),
        "shape negative": header_only("(-1, 96, 96)"), "shape text": header_only("('a', 96, 96)"),
        "shape float": header_only("(60.0, 96, 96)"), "shape open": header_only("(60, 96"),
        "9000 brackets": header_only("(60,)", depth=9000), "strange type": header_only("(60, 96, 96)", "|V9"),
        "overflow": header_only(f"({2**62}, 4, 4)"), "object type": header_only("(60, 96, 96)", "|O"),
    }  # fmt: skip
    return cases


def test_npz(folder: Path, faces: Faces) -> None:
    path, cases = folder / IMAGES_FILE, []
    for name, content in npz_cases(faces.images).items():

        def call(content: bytes = content) -> Any:
            path.write_bytes(content)
            return read_kaggle(folder, EYES)

        cases.append(Case(name, call, path.name))
    try_all("npz", cases)


def test_npz_in_every_layout_is_read_right(folder: Path, faces: Faces) -> None:
    """96 faces too, where all three axes are equally long: right, or a sentence."""
    path, cases = folder / IMAGES_FILE, []
    for count in (1, 3, 59, 60, 95, 96, 97):
        images = np.resize(faces.images, (count, 96, 96))
        part = Faces(images, np.resize(faces.points, (count, 15, 2)), faces.landmarks,
                     np.arange(count), "")  # fmt: skip
        for axis in (0, 2):
            for kind in (np.uint8, np.float32, np.float64, np.int16):

                def call(part: Faces = part, axis: int = axis, kind: Any = kind) -> Any:
                    label.write_labels(folder, part)
                    stored = part.images / 255 if kind in (np.float32, np.float64) else part.images
                    stored = np.moveaxis(stored.astype(kind), 0, axis)
                    path.write_bytes(npz_bytes(face_images=stored))
                    return read_kaggle(folder, EYES)[0]

                def right(read: Any, images: np.ndarray = images) -> bool:
                    return np.array_equal(read, images)

                cases.append(Case(f"{count} {axis} {kind.__name__}", call, "", right))
    try_all("npz layouts", cases)


Edit = Callable[[list[list[str]]], Any]


def whole(change: Callable[[float], float], missing: str = "") -> Edit:
    """Rewrite every label; `missing` is what an empty cell becomes."""

    def edit(rows: list[list[str]]) -> None:
        for row in rows[1:]:
            row[:30] = [f"{change(float(cell)):.5f}" if cell else missing for cell in row[:30]]

    return edit


def cell(value: str, column: int = 0, row: int = 7) -> Edit:
    def edit(rows: list[list[str]]) -> None:
        rows[row][column] = value

    return edit


def swap(columns: list[int]) -> Edit:
    """Cells trade places under a header that stays."""

    def edit(rows: list[list[str]]) -> None:
        for row in rows[1:]:
            row[:4] = [row[c] for c in columns]

    return edit


def hidden(value: str) -> Edit:
    """Every fourth face without eyes, written in the way of another program."""

    def edit(rows: list[list[str]]) -> None:
        for row in rows[1::4]:
            row[:4] = [value] * 4

    return edit


def headed(name: str, column: int = 0) -> Edit:
    return cell(name, column, row=0)


TABLES: dict[str, Edit] = {
    "labels 0 to 1": whole(lambda v: v / 96), "labels -1 to 1": whole(lambda v: v / 48 - 1),
    "per cent of 400": whole(lambda v: v / 96 * 400), "per thousand": whole(lambda v: v / 96 * 1000),
    "per cent": whole(lambda v: v / 96 * 100),
    "missing 0,0": hidden("0"), "missing -1,-1": hidden("-1"), "missing -100": hidden("-100"),
    "missing 9999": hidden("9999"), "missing words": hidden("unknown"),
    "left and right": swap([2, 3, 0, 1]), "x and y": swap([1, 0, 3, 2]), "upside down": whole(lambda v: 97 - v),
    "all empty": hidden(""), **{
        f"cell {value!r}": cell(value)
        for value in ("True", "false", "inf", "-inf", "1e400", "12,5", "65 px", "0x41", "65;66",
                      "١٢", "\x00", "=1+1", "1e5", "-500", "", "--5", "6_5", "six")
    },
    "duplicated column": headed("left_eye_center_x", 2), "no such column": headed("left_eye"),
    "header in capitals": headed("LEFT_EYE_CENTER_X"), "empty header": headed(""),
    "no header": lambda rows: rows.pop(0), "no rows": lambda rows: rows.__delitem__(slice(1, None)),
    "nothing": lambda rows: rows.clear(), "a row too few": lambda rows: rows.pop(),
    "a row too many": lambda rows: rows.append(list(rows[-1])),
    "a short row": lambda rows: rows[5].pop(), "a long row": lambda rows: rows[5].append("3"),
    "a row of headers in the middle": lambda rows: rows.insert(9, list(rows[0])),
}  # fmt: skip
TABLES["all empty"] = lambda rows: [row.__setitem__(slice(0, 4), [""] * 4) for row in rows[1:]]


def text_of(rows: list[list[str]], between: str = ",") -> bytes:
    return "".join(between.join(row) + "\n" for row in rows).encode("utf-8")


def encodings(rows: list[list[str]]) -> dict[str, bytes]:
    """Files as other programs write them: read right, or refused."""
    plain = text_of(rows)
    quoted = "".join(",".join(f'"{c}"' for c in row) + "\n" for row in rows).encode()
    comma = "".join(";".join(c.replace(".", ",") for c in row) + "\n" for row in rows).encode()
    spaced = "".join(", ".join(row) + "\n" for row in rows).encode()
    return {
        "as it is": plain, "with a mark": b"\xef\xbb\xbf" + plain, "utf-16": plain.decode().encode("utf-16"),
        "semicolons": text_of(rows, ";"), "tabs": text_of(rows, "\t"), "decimal commas": comma,
        "windows": plain.replace(b"\n", b"\r\n"), "old mac": plain.replace(b"\n", b"\r"),
        "quoted": quoted, "spaces": spaced, "no last line end": plain[:-1], "cut in a number": plain[:-3],
        "cut in a row": plain[:-40], "half": plain[: len(plain) // 2], "zeros at the end": plain + bytes(9),
        "empty lines at the end": plain + b"\n\n", "an open quote": plain[:-50] + b'"' + plain[-50:],
        "latin-1": plain + "# größe\n".encode("latin-1"), "binary": bytes(range(256)) * 40, "blank": b"  \n",
    }  # fmt: skip


def table_cases(path: Path, rows: list[list[str]], truth: np.ndarray, count: int) -> list[Case]:
    def call(content: bytes) -> Callable[[], Any]:
        def read() -> Any:
            path.write_bytes(content)
            return load(path.parent, verbose=False).points

        return read

    def right(points: Any) -> bool:
        return points.shape == (count, 2, 2) and bool(np.allclose(points, truth, atol=1e-3))

    cases = [
        Case(f"file: {n}", call(content), path.name, right)
        for n, content in encodings(rows).items()
    ]
    for name, edit in TABLES.items():
        copy = [list(row) for row in rows]
        edit(copy)
        may_be_read = name in ("header in capitals", "a short row")  # the eyes are all there
        # A table with its own images is as long as it is; per cent shows in forty faces, not twenty.
        if name in ("a row too few", "a row too many", "per cent") and path.name == "training.csv":
            continue
        cases.append(Case(name, call(text_of(copy)), path.name, right if may_be_read else None))
    return cases


def csv_rows(folder: Path) -> list[list[str]]:
    text = (folder / LABELS_FILE).read_text(encoding="utf-8")
    return [line.split(",") for line in text.splitlines()]


def test_label_tables(folder: Path, faces: Faces) -> None:
    path = folder / LABELS_FILE
    try_all("csv", table_cases(path, csv_rows(folder), faces.points[:, :2], len(faces)))


@often(60)
@given(
    text=st.text(max_size=8) | st.floats(allow_subnormal=False).map(str) | st.integers().map(str)
)
def test_any_text_in_a_cell(text: str, folder: Path, faces: Faces) -> None:
    """It is the number that Python reads there, or it is refused."""
    path, rows = folder / LABELS_FILE, csv_rows(folder)
    rows[7][0] = text

    def call() -> Any:
        with path.open("w", encoding="utf-8", newline="", errors="surrogatepass") as file:
            csv.writer(file).writerows(rows)
        return load(folder, verbose=False).points

    def right(points: Any) -> bool:
        return bool(np.isclose(points[6, 0, 0] + 1, float(text), atol=1e-3))

    before = path.read_bytes()
    try:
        said = fault(Case(f"cell {text!r}", call, path.name, right))
    finally:
        path.write_bytes(before)
    assert not said, said


def test_training_csv(folder: Path, faces: Faces) -> None:
    rows = csv_rows(folder)[:21]
    rows[0].append("Image")
    for row, face in zip(rows[1:], faces.images, strict=False):
        row.append(" ".join(map(str, face.flat)))
    (folder / IMAGES_FILE).unlink()
    (folder / LABELS_FILE).unlink()
    path = folder / "training.csv"
    good = rows[7][30]
    cases = table_cases(path, rows, faces.points[:20, :2], 20)
    pixels = {
        "no pixels": "", "one pixel": "7", "a pixel short": good.rsplit(" ", 1)[0], "a pixel long": good + " 7",
        "a pixel of 256": "256 " + good.split(" ", 1)[1], "negative": "-1 " + good.split(" ", 1)[1],
        "fractions": good.replace("7", "7.5"), "words": good.replace("1", "one"), "nan": good.replace("9", "nan"),
        "commas": good.replace(" ", ";"), "hex": good.replace("1", "0x1"),
    }  # fmt: skip
    for name, text in pixels.items():
        copy = [list(row) for row in rows]
        copy[7][30] = text

        def call(content: bytes = text_of(copy)) -> Any:
            path.write_bytes(content)
            return load(path, verbose=False)

        cases.append(Case(name, call, path.name))
    whole_numbers = [[*row[:30], row[30].replace(" ", ".0 ") + ".0"] for row in rows[1:]]

    def read() -> Any:
        path.write_bytes(text_of([rows[0], *whole_numbers]))
        return load(path, verbose=False)

    def same(read: Any) -> bool:
        return np.array_equal(read.images, faces.images[:20])

    try_all("training.csv", [*cases, Case("pixels 165.0", read, path.name, same)])


# ---- photos ---------------------------------------------------------------------------------


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def photo_files() -> dict[str, tuple[bytes, bool]]:
    """Name: bytes, and whether it is an image that should be read."""
    rng = np.random.default_rng(0)
    plain = Image.fromarray(rng.integers(0, 256, (60, 80, 3), np.uint8))
    png, jpg = encoded(plain), encoded(plain, "JPEG")
    modes = {mode: plain.convert(mode) for mode in ("1", "L", "P", "LA", "RGBA", "CMYK", "YCbCr")}
    wide = Image.fromarray(np.linspace(900, 1300, 4800).astype(np.uint16).reshape(60, 80))
    real = Image.fromarray(np.linspace(0, 1, 4800, dtype=np.float32).reshape(60, 80))
    files = {f"mode {m}": (encoded(p, "TIFF"), True) for m, p in modes.items()}
    files |= {"16 bits, narrow": (encoded(wide), True), "float": (encoded(real, "TIFF"), True)}
    files |= {f"turned {n}": (encoded(plain, "JPEG", exif=exif(n)), True) for n in range(1, 9)}
    files |= {"turned 99": (encoded(plain, "JPEG", exif=exif(99)), True)}
    for kind, whole_file in {"png": png, "jpg": jpg}.items():
        files |= {
            f"{kind} cut at {n}": (whole_file[: len(whole_file) * n // 8], False) for n in range(8)
        }
    files |= {
        "text": (b"a photo\n", False), "zip": (b"PK\x03\x04" + bytes(99), False),
        "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", False), "zeros": (bytes(5000), False),
        "1 x 1": (encoded(plain.resize((1, 1))), False), "1 x 5000": (encoded(plain.resize((1, 5000))), False),
        "png of 60000 x 60000": (png[:16] + struct.pack(">II", 60_000, 60_000) + png[24:], False),
        "png of 0 x 0": (png[:16] + bytes(8) + png[24:], False), "html": (b"<!DOCTYPE html><title>404", False),
    }  # fmt: skip
    return files


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def test_photos(tmp_path: Path) -> None:
    def right(photo: Any) -> bool:
        good = photo.dtype == np.uint8 and photo.ndim == 3 and photo.shape[2] == 3
        return good and len(np.unique(photo)) > 1

    cases = []
    for name, (content, good) in photo_files().items():
        path = tmp_path / f"{name.replace(' ', '-')}.img"
        path.write_bytes(content)
        call = lambda path=path: image.read_photo(path)  # noqa: E731
        cases.append(Case(name, call, path.name, right if good else None))
    cases += [
        Case(str(p), lambda p=p: image.read_photo(p), p.name) for p in (tmp_path, tmp_path / "no")
    ]
    try_all("photos", cases)


@often(30)
@given(place=st.floats(0, 1, exclude_max=True), byte=st.binary(min_size=1, max_size=4))
def test_a_photo_with_changed_bytes(place: float, byte: bytes, tmp_path: Path) -> None:
    content = bytearray(photo_files()["turned 1"][0])
    start = int(place * len(content))
    content[start : start + len(byte)] = byte
    path = tmp_path / "changed.jpg"
    path.write_bytes(content)
    shape = lambda photo: photo.ndim == 3  # noqa: E731
    assert not fault(Case("changed", lambda: image.read_photo(path), path.name, shape))


# ---- calls ----------------------------------------------------------------------------------


def calls(network: torch.nn.Module) -> Iterator[Case]:
    """Arguments that fit no docstring: all must be refused."""
    image, rng = np.zeros((2, 96, 96), np.uint8), np.random.default_rng(0)
    points = torch.tensor([[[65.0, 37.0], [29.0, 38.0]]]).expand(2, 2, 2)
    maps = torch.rand(2, 2, 24, 24)
    images: dict[str, Any] = {
        "colour": np.zeros((2, 96, 96, 3), np.uint8), "a row": np.zeros(96, np.uint8),
        "none": np.zeros((0, 96, 96), np.uint8), "int": image.astype(int), "bool": image > 3,
        "0 to 255": image + 255.0, "nan": image * NAN, "negative": image - 1.0,
        "complex": image + 1j, "text": image.astype(str), "objects": image.astype(object),
        "masked": np.ma.masked_array(image, image == 0), "a list of rows": [[1, 2], [3]],
        "nothing": None, "a name": "photo.jpg",
    }  # fmt: skip
    for name, given_ in images.items():
        if name not in ("none",):
            yield Case(f"as_input {name}", lambda v=given_: as_input(v))
        yield Case(f"predict {name}", lambda v=given_: predict(network, v))
        yield Case(f"find_eyes {name}", lambda v=given_: find_eyes(v))
    for side in (1, 7, 48, 95, 97, 192):
        small = np.zeros((1, side, side), np.uint8)
        yield Case(f"find_eyes {side}", lambda v=small: find_eyes(v), "96")
    for order in ([0, 0], [1], [0, 2], [1, 0, 2], [-1, 0], [0.5, 1], "10", [], 3):
        yield Case(f"predict mirror {order}", lambda o=order: predict(network, image, o), "mirror")
        yield Case(
            f"augment mirror {order}",
            lambda o=order: augment(
                torch.rand(2, 1, 96, 96), points, Augment(mirror=1.0), torch.Generator(), o),
            "mirror",
        )  # fmt: skip
    for batch in (0, -1, 2.5, "64"):
        yield Case(
            f"predict batch {batch}", lambda b=batch: predict(network, image, batch=b), "batch"
        )
    for name in ("precision", "decoder"):
        yield Case(f"predict {name}", lambda n=name: predict(network, image, **{n: "best"}), "best")
    for shape in ((1, 2, 2), (2, 1, 2), (3, 2, 2), (2, 2, 3), (2, 2), (4,), ()):
        other = torch.full(shape, 30.0)
        yield Case(
            f"total_loss {shape}",
            lambda p=other: total_loss(network(torch.rand(2, 1, 96, 96)), p, (96, 96)),
        )
    for window in (0, -1, 2.5, 8, NAN, "7"):
        yield Case(
            f"decode window {window}",
            lambda w=window: heatmap.decode(maps, "soft", window=w), "window",
        )  # fmt: skip
    for stride in (0, -4, 2.5, NAN, "4"):
        yield Case(
            f"decode stride {stride}", lambda s=stride: heatmap.decode(maps, stride=s), "stride"
        )
        yield Case(
            f"gaussian_maps stride {stride}",
            lambda s=stride: heatmap.gaussian_maps(points, (96, 96), s, 1.0), "stride",
        )  # fmt: skip
    for sigma in (0.0, -1.0, NAN, INF, "1"):
        yield Case(
            f"gaussian_maps sigma {sigma}",
            lambda s=sigma: heatmap.gaussian_maps(points, (96, 96), 4, s), "sigma",
        )  # fmt: skip
    for bad in (
        maps * NAN,
        maps[:, :, :0],
        maps[0, 0, 0],
        maps.to(torch.complex64),
        maps > 0.5,
        None,
    ):
        yield Case(f"decode {getattr(bad, 'dtype', bad)}", lambda b=bad: heatmap.decode(b))
    yield Case("decode method", lambda: heatmap.decode(maps, "best"), "best")
    truth = rng.uniform(20, 70, (5, 2, 2))
    for shape in ((5, 2, 3), (5, 2), (4, 2, 2), (5, 3, 2), (1, 2, 2), (), (5, 1, 2)):
        for name in ("errors_px", "nme", "bioid", "kaggle_rmse", "evaluate"):
            function = getattr(metrics, name)
            yield Case(f"{name} {shape}", lambda f=function, s=shape: f(np.ones(s), truth))
    for eyes in ((0, 0), (0, 2), (-1, 0), (0,), (0, 1, 1), ("a", "b"), 3):
        yield Case(f"nme eyes {eyes}", lambda e=eyes: metrics.nme(truth, truth, e), "eye")
    for limit in (0, -1, NAN, INF, "x"):
        yield Case(f"auc limit {limit}", lambda v=limit: metrics.auc(truth[:, 0, 0], v), "limit")
    for count in (-1, 2.5, NAN, "3"):
        yield Case(f"baseline {count}", lambda n=count: metrics.mean_position_baseline(truth, n))
    for threshold in (NAN, 2.0, -2.0, "x"):
        yield Case(
            f"duplicates {threshold}",
            lambda t=threshold: duplicate_groups(image, t), "threshold",
        )  # fmt: skip
    for box in (
        (0, 0, 0, 5),
        (0, 0, -1, 5),
        (NAN, 0, 5, 5),
        (0, INF, 5, 5),
        (0, 0, NAN, 5),
        (0, 0, INF, 1),
    ):
        yield Case(f"square {box}", lambda b=box: crop.square(*b))
    yield Case("cut 10^9", lambda: crop.cut(image[0], crop.Box(0, 0, 1e9)))
    for pair in (
        [[1e5, 0], [0, 0]],
        [[NAN, 0], [0, 0]],
        [[INF, 0], [0, 0]],
        [[5, 5], [5, 5]],
        [[0, 0], [9, 9]],
    ):
        eyes = np.array([pair], float)
        yield Case(f"crop_faces {pair}", lambda e=eyes: label.crop_faces([image[0]], e))
    for smallest in (0, -5, NAN, INF, 1e-300, 1, "x"):
        yield Case(
            f"window_sides {smallest}",
            lambda s=smallest: detect.window_sides((96, 96), s), "smallest",
        )  # fmt: skip


def test_calls(network: torch.nn.Module) -> None:
    """TypeError is Python's own word for what is no array at all."""
    try_all("calls", list(calls(network)), allowed=(*SENTENCES, TypeError))


def whole_faces() -> Faces:
    points = np.full((4, 2, 2), 30, np.float32)
    return Faces(np.zeros((4, 96, 96), np.uint8), points, EYES, np.arange(4), "test")


def test_settings() -> None:
    """Every number of TrainConfig, Augment, Objective and Faces, one at a time."""
    config, face = TrainConfig(epochs=1.0), whole_faces()
    cases = []
    for field in (f.name for f in fields(config)):
        value = getattr(config, field)
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            continue
        bad: list[Any] = [NAN, -1, -INF, "x", [1], *[2.5] * isinstance(value, int)]
        bad += [] if field == "save_every" else [INF]  # "never" is a wish one may have
        cases += [
            Case(f"{field}={v}", lambda f=field, v=v: replace(config, **{f: v}), field) for v in bad
        ]
    for field in ("schedule", "precision", "objective", "augment"):
        bad = ["", "best", 3, None]
        cases += [
            Case(f"{field}={v}", lambda f=field, v=v: replace(config, **{f: v}), field) for v in bad
        ]
    for field in (f.name for f in fields(Augment)):
        bad = [NAN, INF, -1, "x", None] + ([1.5] if field in ("mirror", "erase") else [])
        cases += [Case(f"{field}={v}", lambda f=field, v=v: Augment(**{f: v}), field) for v in bad]
    for field in ("loss", "pyramid", "sigma", "alpha"):
        bad = ["", "best", 3j, NAN, -1]
        cases += [
            Case(f"{field}={v}", lambda f=field, v=v: Objective(**{f: v}), field) for v in bad
        ]
    broken = {
        "images": [face.images[:3], face.images[0], face.images / 1.0, None],
        "points": [face.points[:3], face.points[:, :1], face.points[..., :1], "x"],
        "landmarks": [EYES[:1], EYES[:1] * 2, ("a", 3)], "rows": [np.arange(3), np.arange(4.0), "abcd"],
    }  # fmt: skip
    for field, values in broken.items():
        cases += [
            Case(f"{field} {n}", lambda f=field, v=v: replace(face, **{f: v}))
            for n, v in enumerate(values)
        ]
    try_all("settings", cases, allowed=(*SENTENCES, TypeError))


# ---- the command line -----------------------------------------------------------------------

FEW = ["--data", "synthetic", "--synthetic-faces", "60"]
TRAIN = ["train", *FEW, "--epochs", "0.1", "--out", "{tmp}/run"]
FIND = ["find", "{photo}"]
OPTIONS: list[tuple[list[str], str]] = [
    *[([*FIND, "--smallest", v], v) for v in ("0", "-5", "nan", "inf", "1", "1e-300", "x")],
    *[([*FIND, "--box", *v.split()], "box") for v in (
        "0 0 0 0", "nan 0 5 5", "inf 0 5 5", "0 0 inf inf", "0 0 -5 5", "0 0 1e5 1e5", "900 900 9 9")],
    ([*FIND, "--csv", "{photo}"], "photo.png"), ([*FIND, "--csv", "{tmp}"], ""),
    ([*FIND, "--csv", "{photo}/no/eyes.csv"], "photo.png"), ([*FIND, "--annotate", "{photo}"], "photo.png"),
    ([*FIND, "--weights", "{photo}"], "photo.png"), ([*FIND, "--weights", "{tmp}"], ""),
    (["find", "{tmp}/gone.jpg"], "gone.jpg"), (["find", "{tmp}/*.jpg"], ".jpg"),
    *[([*TRAIN, "--batch", v], v) for v in ("0", "-1", "1", "2.5", "nan", "x")],
    *[(["train", *FEW, "--out", "{tmp}/run", flag, v], v)
      for flag in ("--seconds", "--epochs") for v in ("0", "-1", "nan", "inf", "x")],
    *[(["data", "--data", "synthetic", "--synthetic-faces", v], v) for v in ("0", "-3", "2.5", "nan", "1e9")],
    ([*TRAIN, "--seed", "-1"], "-1"), ([*TRAIN, "--seed", "1.5"], "1.5"),
    (["train", *FEW, "--epochs", "0.1", "--out", "{photo}"], "photo.png"),
    (["train", *FEW, "--epochs", "0.1", "--out", "/proc/no"], "/proc/no"),
    ([*TRAIN, "--network", "leen"], "leen"), ([*TRAIN, "--precision", "half"], "half"),
    ([*TRAIN, "--device", "tpu"], "tpu"), ([*TRAIN, "--landmarks", "nose"], "nose"),
    (["data", "--data", "{tmp}/gone"], "gone"), (["data", "--data", "{photo}"], "photo.png"),
    (["data", *FEW, "--save", "{tmp}"], ""), (["data", *FEW, "--save", "{photo}/x.json"], "photo.png"),
    (["evaluate", *FEW, "{tmp}/gone.safetensors"], "gone"), (["evaluate", *FEW, "{photo}"], "photo.png"),
    (["evaluate", *FEW, "--part", "all"], "all"), (["evaluate", *FEW, "--json", "--table"], "table"),
    ([], "COMMAND"), (["fly"], "fly"), (["find"], "PHOTO"),
]  # fmt: skip


def test_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 1 or 2 and one line about it (after argparse's usage)."""
    photo = tmp_path / "photo.png"
    content = encoded(Image.new("L", (96, 96), 99))
    cases = []
    for words, name in OPTIONS:
        given_ = [w.format(tmp=tmp_path, photo=photo) for w in words]

        def call(given_: list[str] = given_) -> None:
            photo.write_bytes(content)
            capsys.readouterr()
            try:
                status = commands.main(given_)
            except SystemExit as left:
                status = left.code
            said = capsys.readouterr().err.strip().splitlines()
            if photo.read_bytes() != content:
                raise AssertionError("the photo is overwritten")
            if status:  # argparse prints its usage first
                raise ValueError(said[-1] if said else "")

        cases.append(Case(" ".join(words), call, name))
    try_all("options", cases)


def test_enough_was_tried() -> None:
    """The hand-made families alone; runs last, and only where all of them ran."""
    families = {
        "checkpoints",
        "npz",
        "npz layouts",
        "csv",
        "training.csv",
        "photos",
        "calls",
        "settings",
        "options",
    }
    if set(TRIED) != families:
        pytest.skip("only some of the families ran")
    assert sum(TRIED.values()) >= 300, TRIED
