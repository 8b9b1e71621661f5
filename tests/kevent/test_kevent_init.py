"""kevent_init: a queue and its ring in one call."""
import errno

import pytest

import kevent
from kevent import Ring
from queue_helpers import number_of, ready


def test_init_makes_queue_and_ring_at_once():
    """kevent_init takes a Ring, or a buffer and num; one without the other is
    EINVAL."""
    ring = Ring(3)
    fd = kevent.kevent_init(ring)
    ready(fd, 1)
    assert kevent.kevent_wait(fd, 3) == 1 and ring.kidx == 1
    kevent.kevent_close(fd)
    memory = bytearray(8 + 40 * 3)
    fd = kevent.kevent_init(memory, 2)
    with pytest.raises(OSError, match="2 slots"):
        kevent.kevent_wait(fd, 3, timeout=0)
    kevent.kevent_close(fd)
    kevent.kevent_close(kevent.kevent_init())
    for arguments in ((None, 2), (bytearray(48), 0), (ring, 2),
                      (bytearray(48), 2), (None, 0, 1)):
        with pytest.raises(OSError) as caught:
            kevent.kevent_init(*arguments)
        assert caught.value.errno == errno.EINVAL



def test_without_a_ring():
    """It is kevent_open; None and 0 are the same as nothing."""
    for arguments in ((), (None,), (None, 0), (None, 0, 0)):
        fd = kevent.kevent_init(*arguments)
        ready(fd, 1)
        assert len(kevent.kevent_get_events(fd, 1, 1)) == 1
        assert number_of(kevent.kevent_wait, fd, 1, timeout=0) == errno.EINVAL
        kevent.kevent_close(fd)
    fd = kevent.kevent_init(ring=Ring(1), num=1, flags=0)
    assert kevent.kevent_wait(fd, 1, timeout=0) == 0
    kevent.kevent_close(fd)


@pytest.mark.parametrize("ring, num, error", [
    (bytearray(47), 1, ValueError), (memoryview(bytearray(60))[4:], 1, ValueError),
    (b"\0" * 48, 1, BufferError), (7, 1, TypeError), ("x", 1, TypeError),
    (None, "1", TypeError), (None, -1, OverflowError), (None, 2**32, OverflowError),
])
def test_unfit_arguments(ring, num, error):
    """Too small, misaligned, read-only, no memory, no number: no queue is made."""
    with pytest.raises(error):
        kevent.kevent_init(ring, num)


def test_flags():
    """None is known; the ring stays free."""
    ring = Ring(1)
    for flags in (1, 0x80000000):
        assert number_of(kevent.kevent_init, ring, 1, flags) == errno.EINVAL
    with pytest.raises(TypeError):
        kevent.kevent_init(ring, 1, "0")
    kevent.kevent_close(kevent.kevent_init(ring))


def test_a_ring_that_has_a_queue(fd):
    """EBUSY, and no queue is left; a buffer that was refused can be resized."""
    ring, memory = Ring(1), bytearray(48)
    kevent.kevent_ring_init(fd, ring)
    assert number_of(kevent.kevent_init, ring) == errno.EBUSY
    assert number_of(kevent.kevent_init, memory, 2) == errno.EINVAL
    memory.append(0)
    assert kevent.kevent_wait(fd, 1, timeout=0) == 0


def test_no_descriptor_is_left(no_descriptor):
    """EMFILE, and the ring is free for the next."""
    ring = Ring(1)
    for more in (0, 1):
        with no_descriptor(more):
            assert number_of(kevent.kevent_init, ring) == errno.EMFILE
    kevent.kevent_close(kevent.kevent_init(ring))
