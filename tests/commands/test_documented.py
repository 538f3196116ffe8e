"""Every command that the README, the docs and the notebooks print does something, and only there.

Each is taken from the text, given a tiny budget, and run in an empty folder as a reader would.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from hglib import commands
from hglib.datasets.synthetic.collage import draw_collage

ROOT = Path(__file__).resolve().parents[2]
COMMAND = re.compile(r"python -m\s+hglib\s+((?:[^\s`\"'|&;)#\\]|\\(?!n))+(?:[ ]+[^\s`|&;)#\\]+)*)")
TINY = {  # what is added to each command, so that it takes seconds
    "data": ["--data", "synthetic", "--synthetic-faces", "60"],
    "train": [
        "--data",
        "synthetic",
        "--synthetic-faces",
        "60",
        "--epochs",
        "0.2",
        "--device",
        "cpu",
    ],
    "evaluate": ["--data", "synthetic", "--synthetic-faces", "60"],
    "find": [],
    "experiment": ["--help"],  # tests/experiments/test_runner.py runs each of them, tiny
}
SILENT = ("--csv",)  # a command that writes to a file may print nothing


def texts() -> list[str]:
    """The prose of the documents and the sources of the notebooks' cells."""
    found = [p.read_text("utf-8") for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]]
    for path in sorted(ROOT.glob("notebooks/**/*.ipynb")):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        found += ["".join(cell["source"]) for cell in cells]
    return found


def documented() -> list[str]:
    """The commands, each once, on one line; of those that are one when small, the first."""
    found = {
        re.sub(r"\s+", " ", m[1]).strip(" .,:") for text in texts() for m in COMMAND.finditer(text)
    }
    lines = sorted(line for line in found if line.split()[0] in TINY and small(line))
    return list({str(small(line)): line for line in reversed(lines)}.values())[::-1]


def small(line: str) -> list[str] | None:
    """The command's arguments on a tiny budget; None for one that names no complete command."""
    words = shlex.split(line)
    for option in ("--seconds", "--epochs", "--data", "--synthetic-faces", "--seeds"):  # ours come
        while option in words:
            place = words.index(option)
            values = [word.startswith("--") for word in [*words[place + 1 :], "--"]].index(True)
            del words[place : place + 1 + values]
    if "--list" in words or "--help" in words or (words[0] == "experiment" and len(words) < 2):
        return words if len(words) > 1 else None
    if words == ["find"]:
        return None  # the command's name, not a call of it
    if words[0] == "experiment" and words[1].isupper():
        return None  # NAME: a place for a name
    return words + TINY[words[0]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A reader's folder: photos, and a run of their own."""
    folder = tmp_path_factory.mktemp("reader")
    small_photo = draw_collage((96, 110), sides=[90], seed=12).image  # few windows to look through
    for name in ("photo.jpg", "face.png", "group.jpg"):
        Image.fromarray(small_photo).convert("RGB").save(folder / name)
    large = draw_collage((200, 240), sides=[140], seed=12).image  # --box 120 80 200 240 lies in it
    Image.fromarray(large).convert("RGB").save(folder / "me.jpg")
    (folder / "frames").mkdir()
    for number in range(3):
        Image.fromarray(small_photo).save(folder / "frames" / f"{number}.png")
    done = run(folder, ["train", *TINY["train"]])
    assert done.returncode == 0, done.stderr
    return folder


def write_clip(path: Path) -> None:
    """The photo for three frames, as a video."""
    av = pytest.importorskip("av", reason='no video reader here: pip install "hglib[video]"')
    image = Image.open(path.with_name("photo.jpg"))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height = image.size
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_image(image)))
        container.mux(stream.encode())


def run(folder: Path, words: list[str]) -> subprocess.CompletedProcess:
    """Run a command there, with a home and a cache of its own."""
    environment = {k: v for k, v in os.environ.items() if k != "HGLIB_DATA"}
    environment |= {"HOME": str(folder), "HGLIB_CACHE": str(folder / "cache")}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    call = [sys.executable, "-m", "hglib", *words]
    return subprocess.run(
        call, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


def ask(words: list[str], folder: Path, patch: pytest.MonkeyPatch) -> int:
    """The same in this process, which has loaded torch already."""
    patch.chdir(folder)
    try:
        return commands.main(words)
    except SystemExit as end:  # --help
        return int(end.code or 0)


def package_files() -> dict[str, int]:
    """Size and time of everything in the package: a command must leave it as it is."""
    files = [p for p in (ROOT / "hglib").rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    return {str(p): (p.stat().st_mtime_ns, p.stat().st_size) for p in files}


def test_commands_are_found_in_the_documents():
    assert {line.split()[0] for line in documented()} >= {"train", "evaluate", "find", "experiment"}


@pytest.mark.parametrize("line", documented())
def test_a_documented_command_does_something_and_writes_only_here(
    line, folder, monkeypatch, capsys
):
    words = small(line)
    for word in words[1:]:  # files that the text only names
        photo = word.endswith((".jpg", ".png")) or word == "PHOTO"
        if photo and not (folder / word).exists() and "*" not in word:
            shutil.copy(folder / "photo.jpg", folder / word)
        if word.endswith(".mp4"):
            write_clip(folder / word)
        if word.endswith(".safetensors") and not (folder / word).exists():
            (folder / word).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / "runs/last/last.safetensors", folder / word)
    before = package_files()
    if words[0] == "experiment":  # it is only asked what it would do
        status = ask(words, folder, monkeypatch)
        said, complaint = capsys.readouterr()
    else:
        done = run(folder, words)
        status, said, complaint = done.returncode, done.stdout, done.stderr
    assert status == 0, f"{words}: {complaint[-600:]}"
    assert said.strip() or any(option in words for option in SILENT)
    assert package_files() == before
