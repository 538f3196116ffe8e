"""The self-checks of notebook 07: right answers pass, each named mistake is told by its name."""

import numpy as np
import pytest

from hglib import check


def right_back(points, left, top, side):
    return (points + 0.5) * side / 96 - 0.5 + [left, top]


BACK = {
    "off by half a pixel": lambda p, x, y, s: p * s / 96 + [x, y],
    "the last 0.5 is missing": lambda p, x, y, s: (p + 0.5) * s / 96 + [x, y],
    "the first 0.5 is missing": lambda p, x, y, s: p * s / 96 - 0.5 + [x, y],
    "the signs of the two halves": lambda p, x, y, s: (p - 0.5) * s / 96 + 0.5 + [x, y],
    "from the photo to the crop": lambda p, x, y, s: (p + 0.5 - [x, y]) * 96 / s - 0.5,
    "multiply by side / 96": lambda p, x, y, s: (p + 0.5) * 96 / s - 0.5 + [x, y],
    "the corner is missing": lambda p, x, y, s: (p + 0.5) * s / 96 - 0.5,
    "left belongs to x": lambda p, x, y, s: (p + 0.5) * s / 96 - 0.5 + [y, x],
    "add it after you scale": lambda p, x, y, s: (p + 0.5 + [x, y]) * s / 96 - 0.5,
    "x and y are swapped": lambda p, x, y, s: right_back(p, x, y, s)[:, ::-1],
    "rounded to whole pixels": lambda p, x, y, s: np.round(right_back(p, x, y, s)),
}


def right_square(x, y, width, height):
    side = max(width, height)
    return x + (width - side) / 2, y + (height - side) / 2, side


SQUARES = {
    "the shorter one": lambda x, y, w, h: (
        x + (w - min(w, h)) / 2,
        y + (h - min(w, h)) / 2,
        min(w, h),
    ),
    "the corner has not moved": lambda x, y, w, h: (x, y, max(w, h)),
    "this is the centre": lambda x, y, w, h: (x + w / 2, y + h / 2, max(w, h)),
    "moved the wrong way": lambda x, y, w, h: (
        x - (w - max(w, h)) / 2,
        y - (h - max(w, h)) / 2,
        max(w, h),
    ),
    "by the whole difference": lambda x, y, w, h: (x + w - max(w, h), y + h - max(w, h), max(w, h)),
    "left and top are swapped": lambda *box: (*right_square(*box)[1::-1], right_square(*box)[2]),
    "the mean of both": lambda x, y, w, h: (
        x + w / 2 - (w + h) / 4,
        y + h / 2 - (w + h) / 4,
        (w + h) / 2,
    ),
}


def test_right_answers_pass(capsys):
    assert check.back_to_photo(right_back) is True
    assert check.boxed(right_square) is True
    assert capsys.readouterr().out.count("Correct: ") == 2


@pytest.mark.parametrize("words", BACK)
def test_mistakes_on_the_way_back_are_named(words, capsys):
    assert check.back_to_photo(BACK[words]) is False
    said = capsys.readouterr().out
    assert said.startswith("Not yet: ") and words in said


@pytest.mark.parametrize("words", SQUARES)
def test_mistaken_squares_are_named(words, capsys):
    assert check.boxed(SQUARES[words]) is False
    said = capsys.readouterr().out
    assert said.startswith("Not yet: ") and words in said


def test_an_unknown_mistake_says_how_far_off_it_is(capsys):
    assert check.back_to_photo(lambda *a: right_back(*a) + 3) is False
    assert "3 off" in capsys.readouterr().out
