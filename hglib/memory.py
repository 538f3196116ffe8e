"""Memory: what is used again and again should not be fetched anew; and how much was used."""

import sys
from functools import lru_cache
from pathlib import Path

import numpy as np

LARGEST = 31_000_000  # bytes; glibc learns nothing from blocks above 32 MiB
STATUS = Path("/proc/self/status")  # Linux


@lru_cache(maxsize=1)
def keep_freed_memory() -> None:
    """Let the C library keep the arrays that we free, for the next ones of their size.

    Drawing and training make and drop hundreds of arrays of about 1 MB. By default glibc hands each
    of them back to the system, which must find and clear its pages again a moment later: a quarter
    of the time of drawing a face. Freeing one large block once raises the size from which on it
    does so (mallopt(3), "dynamic mmap threshold"). Other C libraries take no notice.

    Taught in: 08_further_and_faster
    """
    np.empty(LARGEST, np.uint8)  # freed at once


def peak_memory() -> int:
    """The most memory that this process has held at a time, in bytes (its resident set).

    Raises ImportError on Windows, which keeps no such number where Python can read it.

    >>> peak_memory() > 1_000_000
    True

    Taught in: 08_further_and_faster
    """
    if STATUS.exists():  # getrusage would count what our parent held when it started us
        lines = STATUS.read_text().splitlines()
        (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
        return int(peak) * 1024
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes there, elsewhere KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
