"""For every test: it ends in time, or says where it hangs."""
import faulthandler
import os

import pytest

# Sanitizers and emulators are slower; what waits gets that much longer.
SLOWNESS = float(os.environ.get("KEVENT_TEST_SLOWNESS", "1"))
LIMIT_S = 120 * SLOWNESS


@pytest.fixture(autouse=True)
def watchdog():
    """After LIMIT_S every thread's stack is printed and the run ends."""
    faulthandler.dump_traceback_later(LIMIT_S, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()
