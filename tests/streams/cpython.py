"""python -m tests.streams.cpython LOOP: CPython's own test_streams on our streams.

LOOP is kevent, or asyncio for the stdlib's own loop.  asyncio's names are
replaced before the test module is imported, so that it knows no others.
Exit status: 0 all passed; 1 not; 77 this interpreter has no test package.
"""
from __future__ import annotations

import faulthandler
import importlib
import sys
import unittest

from tests.conformance import bind

TIMEOUT_S = 240


def run(loop: str) -> int:
    faulthandler.dump_traceback_later(TIMEOUT_S, exit=True)
    try:
        importlib.import_module("test.test_asyncio")
    except ImportError:
        return 77
    census = bind.Census()
    bind.bind_loop("kevent:EventLoop" if loop == "kevent" else None, census)
    import kevent.streams

    kevent.streams.install()
    module = importlib.import_module("test.test_asyncio.test_streams")
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    result = unittest.TextTestRunner(stream=sys.stdout).run(suite)
    print(f"{census.made} loops of {loop} were made")
    return 0 if result.wasSuccessful() and result.testsRun and census.made else 1


if __name__ == "__main__":
    sys.exit(run(sys.argv[1]))
