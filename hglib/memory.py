"""Memory that is used again and again should not be fetched anew each time."""

from functools import lru_cache

import numpy as np

LARGEST = 31_000_000  # bytes; glibc learns nothing from blocks above 32 MiB


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
