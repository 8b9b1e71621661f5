"""kevent_features: what a program may rely on."""
import errno

import pytest

import kevent
from kevent import ukevent

EXTENSIONS = {name: value for name, value in vars(kevent).items()
              if name.startswith("KEVENT_FEATURE_")}


def test_features_say_what_can_be_added(fd):
    """A type whose bit is set is known to ADD, another answers ENOSYS."""
    features = kevent.kevent_features()
    for kind in range(kevent.KEVENT_MAX + 1):
        failed = kevent.kevent_ctl(fd, kevent.KEVENT_CTL_ADD, [ukevent(2**31, kind, 2**31)])
        unknown = bool(failed) and failed[0].ret_data[1] == 2**32 - errno.ENOSYS
        assert unknown == (not features >> kind & 1), kind
    assert features & kevent.KEVENT_FEATURE_PROC and features & kevent.KEVENT_FEATURE_LEVEL



def test_extensions_have_bits_of_their_own():
    """Each that has a name is there, above the types; no bit is without a name."""
    features = kevent.kevent_features()
    assert len(EXTENSIONS) == 7
    rest = features
    for name, value in EXTENSIONS.items():
        assert rest & value, name
        rest &= ~value
    assert rest < 1 << kevent.KEVENT_MAX


def test_it_is_an_int_and_does_not_change(fd):
    """The same before and after a queue is used; no argument is taken."""
    features = kevent.kevent_features()
    assert type(features) is int
    kevent.kevent_ctl(fd, kevent.KEVENT_CTL_ADD, [ukevent(1, kevent.KEVENT_UNOTIFY)])
    assert kevent.kevent_features() == features
    with pytest.raises(TypeError):
        kevent.kevent_features(1)
