"""A queue's descriptor, Queue.fileno(): what polls it sees."""
import errno
import os
import select

import pytest

import kevent
from kevent import Queue, ukevent


def test_descriptor_polls_readable_while_an_event_may_be_fetched(fd, pair):
    """A queue can be put in select, and in another queue."""
    a, b = pair
    outer = kevent.kevent_open()
    event = ukevent(a, kevent.KEVENT_POLL, req_flags=kevent.KEVENT_REQ_LEVEL)
    kevent.kevent_ctl(fd, kevent.KEVENT_CTL_ADD, [event])
    nested = ukevent(fd, kevent.KEVENT_POLL,
                     req_flags=kevent.KEVENT_REQ_LEVEL)
    assert kevent.kevent_ctl(outer, kevent.KEVENT_CTL_ADD, [nested]) == []
    assert select.select([fd], [], [], 0)[0] == []
    assert kevent.kevent_get_events(outer, 0, 1, 0) == []
    b.send(b"x")
    assert select.select([fd], [], [], 5)[0] == [fd]
    assert [e.id for e in kevent.kevent_get_events(outer, 1, 1)] == [fd]
    a.recv(1)
    assert kevent.kevent_get_events(fd, 0, 1, 0) == []
    assert select.select([fd], [], [], 0)[0] == []
    kevent.kevent_close(outer)



def test_it_names_the_queue(queue):
    """An int, the same for life, by which the calls know the queue; the queue itself
    stands for it."""
    number = queue.fileno()
    assert type(number) is int and number == queue.fileno() == queue.statistics()["fd"]
    assert not os.get_inheritable(number)
    queue.add(1, kevent.KEVENT_UNOTIFY, req_flags=kevent.KEVENT_REQ_READY)
    assert kevent.kevent_get_events(number, 1, 1)[0].id == 1
    assert ukevent(queue, kevent.KEVENT_POLL).id == number
    with pytest.raises(TypeError):
        queue.fileno(1)


def test_in_poll_and_epoll(queue):
    """Readable, and nothing else, until the last event is fetched or withdrawn."""
    poll, epoll = select.poll(), select.epoll()
    poll.register(queue, select.POLLIN | select.POLLOUT | select.POLLPRI)
    epoll.register(queue, select.EPOLLIN | select.EPOLLOUT | select.EPOLLPRI)
    number = queue.fileno()
    assert poll.poll(0) == epoll.poll(0) == []
    for i in range(2):
        queue.add(i, kevent.KEVENT_UNOTIFY, req_flags=kevent.KEVENT_REQ_READY)
    assert poll.poll(0) == epoll.poll(0) == [(number, select.POLLIN)]
    assert len(queue.get_events(1, 1)) == 1
    assert poll.poll(0) == epoll.poll(0) == [(number, select.POLLIN)]
    queue.remove(1, kevent.KEVENT_UNOTIFY)
    assert poll.poll(0) == epoll.poll(0) == []
    epoll.close()


def test_a_timer_makes_it_readable(queue):
    """Nobody needs to sleep in the queue for its timers."""
    queue.add_timer(1, initial=1_000_000)
    poll = select.poll()
    poll.register(queue, select.POLLIN)
    assert poll.poll(10_000) == [(queue.fileno(), select.POLLIN)]
    assert [e.id for e in queue.get_events(timeout=0)] == [1]


def test_of_a_closed_queue():
    """EBADF, not a number that may be another file's."""
    queue = Queue()
    queue.close()
    with pytest.raises(OSError) as caught:
        queue.fileno()
    assert caught.value.errno == errno.EBADF


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_in_a_forked_child(queue):
    """EBADF: the child's copy is no queue that could be polled."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            queue.fileno()
        except OSError as error:
            code = 0 if error.errno == errno.EBADF else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert queue.fileno() >= 0
