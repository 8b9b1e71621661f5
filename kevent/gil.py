"""The interpreter's own turn, among callbacks that are all written in C."""
from __future__ import annotations

__all__ = ("offer_gil",)


def offer_gil():
    """Do nothing: a function of Python's is what CPython itself needs now and then.

    C code keeps the GIL until it gives it up.  Python code is stopped at the
    start of a function when another thread has waited for sys.getswitchinterval()
    seconds, a signal's handler or a pending call is to run, or an exception was
    set for this thread; without the GIL, when the collector wants all threads to
    stand still.  The loop of asyncio is Python and so stops in every iteration.
    """
