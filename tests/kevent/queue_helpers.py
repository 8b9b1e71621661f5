"""What the tests of several calls do with a queue."""
import pytest

import kevent


def ready(fd, *ids):
    """Register user notifications and make them ready, in order; user is 100 + id."""
    events = [kevent.ukevent(i, kevent.KEVENT_UNOTIFY, user=100 + i) for i in ids]
    assert kevent.kevent_ctl(fd, kevent.KEVENT_CTL_ADD, events) == []
    assert kevent.kevent_ctl(fd, kevent.KEVENT_CTL_READY, events) == []


def number_of(call, *arguments, **options):
    """errno of the OSError that the call raises."""
    with pytest.raises(OSError) as raised:
        call(*arguments, **options)
    return raised.value.errno
