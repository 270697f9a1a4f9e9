"""Keeps the stack that signals of this thread are handled on, where a library takes it. Knows nothing of runtimes.

OpenVINO 2026.4 replaces the main thread's alternate signal stack with one of its own while it compiles, and puts the
former one back when the network goes; of two networks that go in another order the second puts back the first one's,
which is gone. The next signal - a time-out, an interrupt - then kills the process.
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class _Stack(ctypes.Structure):
    """stack_t of <signal.h>."""

    _fields_ = (("sp", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextmanager
def signal_stack_kept() -> Iterator[None]:
    """Whatever is done within, this thread has the same alternate signal stack afterwards; nothing off Linux."""
    if not sys.platform.startswith("linux"):
        yield
        return
    libc = ctypes.CDLL(None)
    before = _Stack()
    libc.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        libc.sigaltstack(ctypes.byref(before), None)


def signal_stack() -> int | None:
    """The address of this thread's alternate signal stack; None where it has none."""
    now = _Stack()
    ctypes.CDLL(None).sigaltstack(None, ctypes.byref(now))
    address: int | None = now.sp
    return address
