"""KEVENT_PROC: the end of a process, which is left for its parent to reap."""
import errno
import os
import subprocess

import pytest

from kevent import KEVENT_PROC, KEVENT_PROC_EXIT, KEVENT_PROC_STATUS, KEVENT_REQ_ONESHOT


@pytest.fixture
def child():
    """A shell that does what it is told on its standard input."""
    with subprocess.Popen(["/bin/sh"], stdin=subprocess.PIPE, text=True) as process:
        yield process


@pytest.mark.parametrize("script, code", [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", -9)])
def test_child(queue, child, script, code):
    """The status is wait's, and subprocess still gets it."""
    queue.add(child.pid, KEVENT_PROC, user=4)
    assert queue.get_events(timeout=0) == []
    child.stdin.write(script + "\n")
    child.stdin.close()
    [event] = queue.get_events()
    assert event.user == 4
    assert event.ret_data[0] == KEVENT_PROC_EXIT | KEVENT_PROC_STATUS
    assert os.waitstatus_to_exitcode(event.ret_data[1]) == code
    assert child.wait() == code
    assert queue.get_events(timeout=0) == []


def test_child_of_another(queue):
    """Of a grandchild only the end is known."""
    stop, started = os.pipe(), os.pipe()
    with subprocess.Popen(
        ["/bin/sh", "-c", f"(echo >/dev/fd/{started[1]}; read _ </dev/fd/{stop[0]}) & echo $!"],
        stdout=subprocess.PIPE, text=True,
        pass_fds=(stop[0], started[1]),
    ) as process:
        pid = int(process.stdout.readline())
        os.read(started[0], 1)
    queue.add(pid, KEVENT_PROC)
    assert queue.get_events(timeout=0) == []
    for fd in (*stop, *started):
        os.close(fd)
    [event] = queue.get_events()
    assert event.ret_data == (KEVENT_PROC_EXIT, 0)


def test_no_process(queue, child):
    """ESRCH for one that was reaped, EINVAL for what is no pid."""
    child.stdin.close()
    child.wait()
    for number, pid in ((errno.ESRCH, child.pid), (errno.EINVAL, 0)):
        with pytest.raises(OSError) as caught:
            queue.add(pid, KEVENT_PROC)
        assert caught.value.errno == number


def test_oneshot(queue, child):
    """Is gone when it was told, with its descriptor."""
    before = len(os.listdir("/proc/self/fd"))
    queue.add(child.pid, KEVENT_PROC, req_flags=KEVENT_REQ_ONESHOT)
    child.stdin.close()
    assert len(queue.get_events()) == 1
    assert len(os.listdir("/proc/self/fd")) == before - 1
    with pytest.raises(OSError) as caught:
        queue.remove(child.pid, KEVENT_PROC)
    assert caught.value.errno == errno.ENOENT
