"""KEVENT_SIGNAL: signals as events, in a process whose mask is put back."""
import errno
import os
import signal
import threading

import pytest

import kevent
from kevent import KEVENT_SIGNAL, KEVENT_SIGNAL_NOMASK

SIGNALS = {signal.SIGUSR1, signal.SIGRTMIN, signal.SIGCHLD}


@pytest.fixture(autouse=True)
def mask():
    """What was blocked by a test is unblocked, and nothing strikes then."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    yield
    while signal.sigtimedwait(SIGNALS, 0):
        pass
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def silent(number):
    return (number, KEVENT_SIGNAL_NOMASK)


def test_add_blocks(queue):
    """Nobody needs to prepare the calling thread."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
    queue.add(silent(signal.SIGUSR1), KEVENT_SIGNAL)
    os.kill(os.getpid(), signal.SIGUSR1)
    [event] = queue.get_events()
    assert event.raw == silent(signal.SIGUSR1)
    assert event.ret_data[0] == kevent.KEVENT_SIGNAL_DELIVERY


def test_siginfo(queue):
    """By the event, or by its number; a kind of tuple with names."""
    queue.add(silent(signal.SIGUSR1), KEVENT_SIGNAL)
    os.kill(os.getpid(), signal.SIGUSR1)
    [event] = queue.get_events()
    info = queue.record(event)
    assert isinstance(info, kevent.siginfo)
    assert (info.si_signo, info.si_pid, info.count) == (signal.SIGUSR1, os.getpid(), 1)
    assert info.si_uid == os.getuid()
    assert kevent.kevent_record(queue, event.ret_data[1]) == info


def test_handler_runs_too(queue):
    """Without NOMASK a Python handler is called as well."""
    calls = []
    before = signal.signal(signal.SIGUSR1, lambda *args: calls.append(args[0]))
    try:
        queue.add(signal.SIGUSR1, KEVENT_SIGNAL)
        os.kill(os.getpid(), signal.SIGUSR1)
        assert len(queue.get_events()) == 1
        assert calls == [signal.SIGUSR1]
        queue.remove(signal.SIGUSR1, KEVENT_SIGNAL)
        queue.add(silent(signal.SIGUSR1), KEVENT_SIGNAL)
        os.kill(os.getpid(), signal.SIGUSR1)
        assert len(queue.get_events()) == 1
        assert calls == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_realtime_signals_are_not_merged(queue):
    """Five sent are five told; of a standard one that pends there is one."""
    queue.add(silent(signal.SIGRTMIN), KEVENT_SIGNAL)
    queue.add(silent(signal.SIGUSR1), KEVENT_SIGNAL)
    for _ in range(5):
        os.kill(os.getpid(), signal.SIGRTMIN)
        os.kill(os.getpid(), signal.SIGUSR1)
    numbers = [e.raw[0] for e in queue.get_events(min_nr=6)]
    assert numbers.count(signal.SIGRTMIN) == 5
    assert numbers.count(signal.SIGUSR1) == 1
    assert queue.get_events(timeout=0) == []


def test_child(queue):
    """SIGCHLD comes with the child's pid and status."""
    queue.add(silent(signal.SIGCHLD), KEVENT_SIGNAL)
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 5"], {})
    [event] = queue.get_events()
    info = queue.record(event)
    assert (info.si_pid, info.si_status) == (pid, 5)
    os.waitpid(pid, 0)


def test_a_thread_that_waits_is_woken(queue):
    """Signals of the process reach a sleeper in another thread."""
    queue.add(silent(signal.SIGUSR1), KEVENT_SIGNAL)
    events = []
    thread = threading.Thread(target=lambda: events.extend(queue.get_events()))
    thread.start()
    os.kill(os.getpid(), signal.SIGUSR1)
    thread.join()
    assert len(events) == 1


@pytest.mark.parametrize("id", [0, 65, signal.SIGKILL, (signal.SIGUSR1, 1)])
def test_no_signal(queue, id):
    """EINVAL."""
    with pytest.raises(OSError) as caught:
        queue.add(id, KEVENT_SIGNAL)
    assert caught.value.errno == errno.EINVAL
