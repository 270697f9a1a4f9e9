"""Arithmetic that a resumed search repeats to the last bit. Knows nothing of what is computed.

Original: what the searchers that compute with torch or numpy share.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """The order of a sum must not depend on the number of cores."""
    before = torch.get_num_threads()
    if before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
