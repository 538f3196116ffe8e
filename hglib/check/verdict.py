"""What every self-check shares: the one line it prints, and the search for a known mistake."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import ParamSpec

import numpy as np
import torch
from torch import Tensor

P = ParamSpec("P")
SOLVED: set[tuple[str, str]] = set()  # (module, name) of every check passed in this session
CLOSE = 1e-4  # two answers this near are the same: float32 on images of 96 pixels is finer


class NotYet(Exception):
    """The answer is not right yet; the message says what is wrong."""


def self_check(check: Callable[P, str]) -> Callable[P, bool]:
    """Turn a check that returns praise or raises `NotYet` into one that prints and returns a bool.


    A reader's function that stops with an error of its own gets a line too, never a traceback.

    >>> @self_check
    ... def doubled(fn):
    ...     if fn(2) == 2:
    ...         raise NotYet("the number comes back unchanged")
    ...     return "twice two is four"
    >>> doubled(lambda x: 2 * x)
    Correct: twice two is four
    True
    >>> doubled(lambda x: x)
    Not yet: the number comes back unchanged
    False
    """

    @functools.wraps(check)
    def run(*args: P.args, **kwargs: P.kwargs) -> bool:
        try:
            print(f"Correct: {check(*args, **kwargs)}")
            SOLVED.add((check.__module__, check.__name__))
            return True
        except NotYet as reason:
            print(f"Not yet: {reason}")
        except Exception as error:
            print(f"Not yet: your function stopped with {type(error).__name__}: {error}")
        return False

    return run


def as_tensor(value: object) -> Tensor:
    """What the reader's function returned, as a float64 tensor; NotYet for None and the like."""
    if value is None or value is Ellipsis:
        raise NotYet("your function returns nothing so far")
    if isinstance(value, np.ndarray):
        value = np.ascontiguousarray(value)  # torch takes no view that runs backwards
    try:
        return torch.as_tensor(value).detach().to(torch.float64)
    except (TypeError, ValueError, RuntimeError):
        kind = type(value).__name__
        raise NotYet(f"your function returns a {kind}; a tensor is wanted") from None


def same(a: Tensor, b: Tensor) -> bool:
    """Equal shape and, to within `CLOSE`, equal numbers; NaN equals NaN."""
    return a.shape == b.shape and torch.allclose(a, b, rtol=0, atol=CLOSE, equal_nan=True)


def compare(value: object, right: Tensor, wrong: Mapping[str, Tensor | tuple[Tensor, ...]]) -> None:
    """Return if `value` is `right`; else raise NotYet, with the mistake's name if it is known.

    `wrong` holds the answers of the usual mistakes, by what to say about them: one answer, or a
    tuple of those that a mistake can give. One that happens to be right for these numbers is
    passed over.

    >>> compare(6.0, torch.tensor(6.0), {})
    >>> compare(5.0, torch.tensor(6.0), {"added, not multiplied": torch.tensor(5.0)})
    Traceback (most recent call last):
    hglib.check.verdict.NotYet: added, not multiplied
    """
    found, right = as_tensor(value), right.to(torch.float64)
    if same(found, right):
        return
    for mistake, answers in wrong.items():
        each = answers if isinstance(answers, tuple) else (answers,)
        if any(same(found, answer.to(torch.float64)) for answer in each):
            raise NotYet(mistake)
    if found.shape != right.shape:
        raise NotYet(f"the shape is {tuple(found.shape)}; {tuple(right.shape)} is wanted")
    if not torch.equal(found.isnan(), right.isnan()):
        raise NotYet("a NaN is in the wrong place, or missing")
    off = float((found - right).nan_to_num().abs().max())
    raise NotYet(f"a number is {off:.2g} off")
