"""For every test: it ends in time, or says where it hangs."""
import faulthandler
import os
import signal

import pytest

# NumPy, which some tests hand memory of, would start a thread that blocks no
# signal: what is sent to the process would strike there, and end it.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Sanitizers and emulators are slower; what waits gets that much longer.
SLOWNESS = float(os.environ.get("KEVENT_TEST_SLOWNESS", "1"))
LIMIT_S = 120 * SLOWNESS


def pytest_configure(config):
    # While tests run, descriptor 2 is captured; this is the real one.
    config.real_stderr = open(os.dup(2), "w")
    # A shell without job control starts what runs in the background with SIGINT
    # ignored, and so would be every program that the tests start: one that is
    # sent Ctrl-C would then wait for ever.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure(config):
    config.real_stderr.close()


@pytest.fixture(autouse=True)
def watchdog(request):
    """After LIMIT_S every thread's stack is printed and the run ends."""
    stderr = request.config.real_stderr
    # Its thread inherits that nothing strikes it: it blocks signals itself, but
    # only once it runs, and a test may send one to the process before that.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    faulthandler.dump_traceback_later(LIMIT_S, exit=True, file=stderr)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    yield
    faulthandler.cancel_dump_traceback_later()
