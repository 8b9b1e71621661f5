"""KEVENT_NAIO and KEVENT_AIO: numbers of 2006 with nothing behind them."""
import errno

import pytest

import kevent
from kevent import KEVENT_AIO, KEVENT_NAIO, ukevent

BOTH = pytest.mark.parametrize("kind", [KEVENT_NAIO, KEVENT_AIO])


@BOTH
def test_add_is_enosys(fd, kind):
    """The types that are left out have numbers, no feature bit, and answer ENOSYS."""
    assert not kevent.kevent_features() >> kind & 1
    [failed] = kevent.kevent_ctl(fd, kevent.KEVENT_CTL_ADD, [ukevent(0, kind, 1)])
    assert failed.ret_flags & kevent.KEVENT_RET_BROKEN
    assert 2**32 - failed.ret_data[1] == errno.ENOSYS



@BOTH
def test_it_fails_alone(fd, kind):
    """The rest of the batch is registered."""
    events = [ukevent(1, kevent.KEVENT_UNOTIFY), ukevent(2, kind, 1, kevent.KEVENT_REQ_READY),
              ukevent(3, kevent.KEVENT_UNOTIFY)]
    failed = kevent.kevent_ctl(fd, kevent.KEVENT_CTL_ADD, events)
    assert [(e.id, 2**32 - e.ret_data[1]) for e in failed] == [(2, errno.ENOSYS)]
    assert kevent.kevent_ctl(fd, kevent.KEVENT_CTL_READY, [events[0], events[2]]) == []
    assert [e.id for e in kevent.kevent_get_events(fd, 0, 4, 0)] == [1, 3]


@BOTH
def test_by_the_object(queue, kind):
    """Each method says so: there is none to change, remove, report or set a time for."""
    queue.add(1, kevent.KEVENT_UNOTIFY)
    for number, call in ((errno.ENOSYS, lambda: queue.add(0, kind, 1)),
                         (errno.ENOENT, lambda: queue.remove(0, kind)),
                         (errno.ENOENT, lambda: queue.ready(0, kind)),
                         (errno.EINVAL, lambda: queue.add_timer(0, 1, type=kind))):
        with pytest.raises(OSError) as caught:
            call()
        assert caught.value.errno == number
    [failed] = queue.ctl(kevent.KEVENT_CTL_MODIFY, [ukevent(0, kind, 1)])
    assert 2**32 - failed.ret_data[1] == errno.ENOSYS
