"""KEVENT_INODE: directories and files, with the names of what changed."""
import errno
import os

import pytest

import kevent
from kevent import (
    KEVENT_INODE,
    KEVENT_INODE_ATTRIB,
    KEVENT_INODE_CREATE,
    KEVENT_INODE_DELETE_SELF,
    KEVENT_INODE_GONE,
    KEVENT_INODE_MODIFY,
    KEVENT_INODE_MOVED_FROM,
    KEVENT_INODE_MOVED_TO,
    KEVENT_INODE_REMOVE,
)


@pytest.fixture
def directory(tmp_path):
    """(path, descriptor that names it and no more)."""
    fd = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    yield tmp_path, fd
    os.close(fd)


def told(queue):
    """[(bits, name)] of what there is."""
    return [(e.ret_data[0], queue.record(e).name)
            for e in queue.get_events(timeout=0)]


def test_entries(queue, directory):
    """Created and removed ones by default, each with its name, in order."""
    path, fd = directory
    queue.add(fd, KEVENT_INODE)
    for name in ("one", "zwei-ü"):
        (path / name).touch()
    (path / "one").unlink()
    assert told(queue) == [(KEVENT_INODE_CREATE, "one"), (KEVENT_INODE_CREATE, "zwei-ü"),
                           (KEVENT_INODE_REMOVE, "one")]
    assert told(queue) == []


def test_a_name_that_is_no_text(queue, directory):
    """Comes as os.fsdecode() gives it."""
    path, fd = directory
    queue.add(fd, KEVENT_INODE)
    open(os.fsencode(path) + b"/\xff", "x").close()
    assert told(queue) == [(KEVENT_INODE_CREATE, os.fsdecode(b"\xff"))]


def test_rename(queue, directory):
    """Two halves that share a cookie."""
    path, fd = directory
    (path / "old").touch()
    queue.add(fd, KEVENT_INODE, KEVENT_INODE_MOVED_FROM | KEVENT_INODE_MOVED_TO)
    (path / "old").rename(path / "new")
    first, second = (queue.record(e) for e in queue.get_events(min_nr=2))
    assert isinstance(first, kevent.inode_record)
    assert (first.name, second.name) == ("old", "new")
    assert first.cookie == second.cookie != 0


def test_file(queue, tmp_path):
    """Its contents and attributes; two kevents each get what they asked."""
    path = tmp_path / "file"
    with path.open("wb", buffering=0) as file:
        queue.add(file, KEVENT_INODE, KEVENT_INODE_MODIFY)
        queue.add((file.fileno(), 1), KEVENT_INODE, KEVENT_INODE_ATTRIB)
        file.write(b"x")
        path.chmod(0o600)
        assert [(e.raw[1], *told) for e, told in (
            (e, (e.ret_data[0], queue.record(e).name))
            for e in queue.get_events(min_nr=2))
        ] == [(0, KEVENT_INODE_MODIFY, ""), (1, KEVENT_INODE_ATTRIB, "")]


def test_deleted(queue, tmp_path):
    """The watch ends with the file, and says so."""
    path = tmp_path / "file"
    with path.open("wb") as file:
        queue.add(file, KEVENT_INODE, KEVENT_INODE_DELETE_SELF)
        path.unlink()
    first, last = queue.get_events(min_nr=2)
    assert first.ret_data[0] == KEVENT_INODE_DELETE_SELF
    assert last.ret_data[0] == KEVENT_INODE_GONE
    assert last.ret_flags == kevent.KEVENT_RET_DONE | kevent.KEVENT_RET_BROKEN


def test_many_directories(queue, tmp_path):
    """One inotify descriptor serves them all."""
    before = len(os.listdir("/proc/self/fd"))
    fds = []
    for i in range(20):
        (tmp_path / str(i)).mkdir()
        fds.append(os.open(tmp_path / str(i), os.O_PATH))
        queue.add(fds[i], KEVENT_INODE, user=i)
    assert len(os.listdir("/proc/self/fd")) == before + 21
    for i in reversed(range(20)):
        (tmp_path / str(i) / "x").touch()
    assert [e.user for e in queue.get_events(min_nr=20)] == list(reversed(range(20)))
    for fd in fds:
        queue.remove(fd, KEVENT_INODE)
        os.close(fd)


def test_errors(queue):
    """What is no descriptor, and what is no event."""
    for number, arguments in ((errno.EBADF, (10**6, KEVENT_INODE)),
                              (errno.EINVAL, (0, KEVENT_INODE, 4))):
        with pytest.raises(OSError) as caught:
            queue.add(*arguments)
        assert caught.value.errno == number
