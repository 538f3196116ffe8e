"""Reading photos: every mode and orientation, and files that are no images; drawing on them."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from hglib.photo.crop import Box
from hglib.photo.detect import FoundFace
from hglib.photo.image import EYE_COLOURS, FRAME, annotate, read_photo, to_grey

RAMP = np.tile(np.linspace(0, 255, 40).round().astype(np.uint8), (30, 1))  # (30, 40)
RGB = np.stack([RAMP, RAMP[::-1, ::-1], np.full_like(RAMP, 77)], axis=-1)


def saved(folder, image, name="photo.png", **options):
    path = folder / name
    image.save(path, **options)
    return path


# ---- modes and formats ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.bmp", "a.tiff"])
def test_colours_come_back_as_they_were(name, tmp_path):
    options = {"lossless": True} if name == "a.webp" else {}
    path = saved(tmp_path, Image.fromarray(RGB), name, **options)
    np.testing.assert_array_equal(read_photo(path), RGB)


def test_jpeg_comes_back_nearly(tmp_path):
    path = saved(tmp_path, Image.fromarray(RGB), "a.jpg", quality=95, subsampling=0)
    assert abs(read_photo(path).astype(int) - RGB).max() < 12


def test_cmyk_jpeg_is_read(tmp_path):
    path = saved(tmp_path, Image.new("CMYK", (40, 30), (0, 255, 255, 0)), "a.jpg")
    assert (read_photo(path) - np.array([255, 0, 0])).max() < 5


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA"])
def test_grey_of_every_kind_is_three_equal_channels(mode, tmp_path):
    levels = RAMP if mode != "1" else np.where(RAMP > 127, 255, 0).astype(np.uint8)
    photo = read_photo(saved(tmp_path, Image.fromarray(levels).convert(mode)))
    for channel in range(3):
        np.testing.assert_array_equal(photo[..., channel], levels)


def test_palette_is_looked_up(tmp_path):
    image = Image.new("P", (40, 30), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    assert (read_photo(saved(tmp_path, image)) == [10, 20, 30]).all()


def test_sixteen_bits_are_divided_not_clipped(tmp_path):
    """Each level times 257 is the same grey in 16 bits: 255 becomes 65535."""
    path = saved(tmp_path, Image.fromarray(RAMP.astype(np.uint16) * 257))
    np.testing.assert_array_equal(to_grey(read_photo(path)), RAMP)
    assert np.asarray(Image.open(path).convert("RGB")).std() != RAMP.std()  # as Pillow would


@pytest.mark.parametrize("opacity, expected", [(0, 255), (255, 100), (51, 224)])
def test_what_is_transparent_becomes_white(opacity, expected, tmp_path):
    """Opacity a of grey 100 over white: 255 + a (100 - 255), here with a = 0, 1 and .2."""
    path = saved(tmp_path, Image.new("RGBA", (40, 30), (100, 100, 100, opacity)))
    assert (read_photo(path) == expected).all()


def test_transparent_palette_becomes_white(tmp_path):
    image = Image.new("P", (40, 30), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    assert (read_photo(saved(tmp_path, image, transparency=1)) == 255).all()


def test_animation_gives_its_first_image(tmp_path):
    first, second = (Image.new("L", (40, 30), tone) for tone in (40, 200))
    path = saved(tmp_path, first, "a.gif", save_all=True, append_images=[second])
    assert (read_photo(path) == 40).all()


# ---- orientation ----------------------------------------------------------------------------

# How a camera turns the upright image before it writes it, for each value of the EXIF tag: the
# inverse of what the standard tells a viewer to do (EXIF 2.3, section 4.6.4, Orientation).
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("tag", STORED)
@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_every_orientation_comes_out_upright(tag, name, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = tag
    stored = Image.fromarray(np.ascontiguousarray(STORED[tag](RGB)))
    photo = read_photo(saved(tmp_path, stored, name, exif=exif))
    assert photo.shape == (30, 40, 3)
    assert abs(photo.astype(int) - RGB).mean() < 4


def test_an_unknown_orientation_changes_nothing(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 42
    path = saved(tmp_path, Image.fromarray(RGB), exif=exif)
    np.testing.assert_array_equal(read_photo(path), RGB)


# ---- files that are no photos ---------------------------------------------------------------


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_that_claims(width, height):
    """A PNG of 60 bytes whose header promises this many pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def refusal(path):
    with pytest.raises(ValueError) as caught:
        read_photo(path)
    words = str(caught.value)
    assert words.startswith(str(path)) and "\n" not in words and len(words) < len(str(path)) + 200
    return words


@pytest.mark.parametrize("data", [b"", b"not an image", b"\x89PNG\r\n\x1a\n", b"%PDF-1.4"])
def test_other_files_are_refused(data, tmp_path):
    path = tmp_path / "face.jpg"
    path.write_bytes(data)
    assert "not an image" in refusal(path)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_truncated_files_are_refused(name, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    path = saved(tmp_path, Image.fromarray(noise), name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "not a whole image" in refusal(path) or name == "a.webp"


@pytest.mark.parametrize("sides", [(12_000, 12_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_before_any_pixel_is_read(sides, tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_that_claims(*sides))
    words = refusal(path)
    assert "100 million" in words and "smaller first" in words


def test_a_large_photo_within_the_limit_raises_no_warning(tmp_path, recwarn, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # 30 x 40 is above: Pillow would warn
    read_photo(saved(tmp_path, Image.fromarray(RGB)))
    assert not recwarn.list


@pytest.mark.parametrize("sides", [(1, 1), (23, 100), (100, 23)])
def test_tiny_images_are_refused(sides, tmp_path):
    words = refusal(saved(tmp_path, Image.new("L", sides)))
    assert f"{sides[0]} x {sides[1]}" in words and "at least 24" in words


@pytest.mark.parametrize("white", [1.0, 255.0, 65535.0])
def test_floating_point_pixels_are_read_by_their_white(tmp_path, white):
    levels = (RAMP / 255 * white).astype(np.float32)
    path = saved(tmp_path, Image.fromarray(levels), "a.tiff")
    said = []
    assert abs(read_photo(path, said.append)[..., 0].astype(int) - RAMP).max() <= 1 and not said


@pytest.mark.parametrize("low, high", [(7000, 7800), (0, 3000), (60000, 65535)])
def test_a_narrow_range_is_scaled_by_what_it_holds_and_said(tmp_path, low, high):
    """A thermal camera's 16 bits: the same image as one that uses the whole range."""
    levels = (low + RAMP / 255.0 * (high - low)).astype(np.uint16)
    said = []
    read = read_photo(saved(tmp_path, Image.fromarray(levels), "a.png"), said.append)
    assert abs(read[..., 0].astype(int) - RAMP).max() <= 2
    assert len(said) == 1 and "a.png" in said[0] and "shown as 0 to 255" in said[0]


def test_pixels_that_are_not_finite_are_refused(tmp_path):
    levels = RAMP.astype(np.float32)
    levels[3, 3] = np.nan
    assert "not finite" in refusal(saved(tmp_path, Image.fromarray(levels), "a.tiff"))


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.jpg: no such file"):
        read_photo(tmp_path / "gone.jpg")
    with pytest.raises(FileNotFoundError, match="a folder"):
        read_photo(tmp_path)


# ---- grey, and marks ------------------------------------------------------------------------


def test_grey_is_the_weighted_sum():
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (30, 40, 3), np.uint8)
    expected = photo @ np.array([0.299, 0.587, 0.114])
    assert abs(to_grey(photo) - expected).max() <= 1


def test_marks_lie_on_the_eyes_and_the_frame_on_the_box():
    photo = np.full((200, 300, 3), 128, np.uint8)
    eyes = np.array([[170.3, 80.7], [130.2, 79.6]])
    image = np.asarray(annotate(photo, [FoundFace(eyes, Box(100, 40, 96), 1.0)]))
    assert tuple(image[81, 170]) == EYE_COLOURS[0]
    assert tuple(image[80, 130]) == EYE_COLOURS[1]
    assert tuple(image[40, 100]) == FRAME and tuple(image[90, 196]) == FRAME
    assert (photo == 128).all()  # the caller's own is as it was
    changed = (image != 128).any(axis=-1)
    assert changed[:40].sum() == 0 and changed.mean() < 0.05
