"""KeventSelector: what CPython's tests leave open, each beside EpollSelector."""
import errno
import gc
import os
import selectors
import signal
import socket
import tempfile
import threading
import time
import weakref
from collections.abc import Mapping
from selectors import EVENT_READ, EVENT_WRITE

import pytest

import kevent

BOTH = pytest.mark.parametrize(
    "cls", [kevent.KeventSelector, selectors.EpollSelector])


@pytest.fixture
def pair():
    a, b = socket.socketpair()
    with a, b:
        yield a, b


def raised(function, *args):
    with pytest.raises(Exception) as caught:
        function(*args)
    return caught.value


def test_it_is_a_selector():
    """isinstance holds, and the class can be derived from."""
    class Mine(kevent.KeventSelector):
        def __init__(self, note):
            super().__init__()
            self.note = note

    with Mine("x") as selector:
        assert isinstance(selector, selectors.BaseSelector)
        assert selector.note == "x"
        assert isinstance(selector.get_map(), Mapping)
    with pytest.raises(TypeError):
        kevent.KeventSelector(1)


@pytest.mark.parametrize("call", [
    lambda s, a: s.register(a, 0),
    lambda s, a: s.register(a, 4),
    lambda s, a: s.register(a, -1),
    lambda s, a: s.register(a, 2**70),
    lambda s, a: s.register(a, EVENT_READ),
    lambda s, a: s.register(a.fileno(), EVENT_READ),
    lambda s, a: s.register(-1, EVENT_READ),
    lambda s, a: s.register(object, EVENT_READ),
    lambda s, a: s.register("file", EVENT_READ),
    lambda s, a: s.unregister(999999),
    lambda s, a: s.unregister(None),
    lambda s, a: s.modify(999999, EVENT_READ),
    lambda s, a: s.get_key(999999),
    lambda s, a: s.get_key(-5),
    lambda s, a: s.get_map()[999999],
    lambda s, a: s.get_map()[None],
    lambda s, a: s.get_map().get(None),
    lambda s, a: s.select(float("nan")),
    lambda s, a: s.select(float("inf")),
])
def test_errors_have_the_stdlibs_type_and_text(pair, call):
    """The same mistake, the same exception."""
    errors = []
    for cls in (kevent.KeventSelector, selectors.EpollSelector):
        with cls() as selector:
            selector.register(pair[0], EVENT_READ)
            error = raised(call, selector, pair[0])
            errors.append((type(error), str(error)))
    assert errors[0] == errors[1]


@BOTH
def test_what_cannot_be_watched(cls):
    """A regular file is EPERM, a closed descriptor EBADF; no key is left."""
    with cls() as selector, tempfile.TemporaryFile() as file:
        assert raised(selector.register, file, 1).errno == errno.EPERM
        number = os.dup(0)
        os.close(number)
        assert raised(selector.register, number, 1).errno == errno.EBADF
        assert raised(selector.register, 999999, 1).errno == errno.EBADF
        assert len(selector.get_map()) == 0


@BOTH
def test_after_close(cls, pair):
    """Each method's answer when there is nothing left."""
    selector = cls()
    selector.register(pair[0], EVENT_READ)
    mapping = selector.get_map()
    selector.close()
    selector.close()
    assert selector.get_map() is None
    assert len(mapping) == 0 and mapping.get(pair[0]) is None
    assert isinstance(raised(selector.get_key, pair[0]), RuntimeError)
    assert isinstance(raised(selector.select, 0), ValueError)
    assert isinstance(raised(selector.fileno), ValueError)
    assert isinstance(raised(selector.unregister, pair[0]), KeyError)


@BOTH
def test_map_lists_in_order_of_registration(cls):
    """Like the dict that it replaces; a view, not a copy."""
    fds = [os.eventfd(0) for _ in range(5)]
    with cls() as selector:
        mapping = selector.get_map()
        for fd in reversed(fds):
            selector.register(fd, EVENT_READ, fd)
        assert list(mapping) == fds[::-1]
        selector.unregister(fds[2])
        selector.register(fds[2], EVENT_READ)
        selector.modify(fds[4], EVENT_WRITE)
        order = [fds[4], fds[3], fds[1], fds[0], fds[2]]
        assert list(mapping) == order
        assert [key.fd for key in mapping.values()] == order
        assert fds[2] in mapping and 999999 not in mapping
        assert dict(mapping.items())[fds[0]].data == fds[0]
    for fd in fds:
        os.close(fd)


@BOTH
def test_hang_up_is_both_events_asked_for(cls):
    """HUP and ERR wake readers and writers."""
    r, w = os.pipe()
    with cls() as selector:
        selector.register(r, EVENT_READ)
        selector.register(w, EVENT_WRITE)
        os.close(r)
        selector.unregister(r)
        (key, events), = selector.select(1)
        assert (key.fd, events) == (w, EVENT_WRITE)
    os.close(w)


@BOTH
def test_level_triggered(cls, pair):
    """What is not read is told again."""
    a, b = pair
    b.send(b"xy")
    with cls() as selector:
        key = selector.register(a, EVENT_READ)
        for _ in range(3):
            assert selector.select(0) == [(key, EVENT_READ)]
        a.recv(2)
        assert selector.select(0) == []


@BOTH
def test_modify_events_and_data(cls, pair):
    """The new key is what select() and the map tell."""
    a, b = pair
    with cls() as selector:
        key = selector.register(a, EVENT_WRITE, 1)
        assert selector.modify(a, EVENT_WRITE, 1) is not None
        assert selector.select(0) == [(key, EVENT_WRITE)]
        key = selector.modify(a, EVENT_WRITE, 2)
        (told, _), = selector.select(0)
        assert told.data == 2 and selector.get_key(a) == key
        key = selector.modify(a, EVENT_READ, 2)
        assert selector.select(0) == []
        b.send(b"x")
        assert selector.select(0) == [(key, EVENT_READ)]
        selector.modify(a, 0)
        assert selector.select(0) == []
        selector.modify(a, EVENT_READ | EVENT_WRITE)
        (_, events), = selector.select(0)
        assert events == EVENT_READ | EVENT_WRITE


def test_modify_refuses_unknown_bits(pair):
    """As register() does, where EpollSelector's modify() keeps what it does not know."""
    a, _ = pair
    with kevent.KeventSelector() as selector:
        before = selector.register(a, EVENT_READ, 1)
        for events in (4, EVENT_READ | 8, -1, 1 << 70):
            with pytest.raises(ValueError, match="Invalid events"):
                selector.modify(a, events, 2)
        assert selector.get_key(a) is before


@BOTH
def test_modify_of_a_closed_descriptor(cls):
    """It fails, and the key is gone, as after a failed register."""
    r, w = os.pipe()
    os.close(w)
    with cls() as selector:
        selector.register(r, EVENT_READ)
        os.close(r)
        assert isinstance(raised(selector.modify, r, EVENT_WRITE), OSError)
        assert len(selector.get_map()) == 0
        assert isinstance(raised(selector.unregister, r), KeyError)


@BOTH
def test_modify_that_fails_unregisters(cls):
    """CPython's test_modify_unregister with a kernel that really refuses: the number is
    another file's by now.  No key is left, and the new file can be registered."""
    r, w = os.pipe()
    other = os.eventfd(1)
    with cls() as selector:
        selector.register(w, EVENT_WRITE, "stays")
        selector.register(r, EVENT_READ, "old")
        os.dup2(other, r)
        assert isinstance(raised(selector.modify, r, EVENT_WRITE, "old"), OSError)
        assert list(selector.get_map()) == [w]
        assert isinstance(raised(selector.get_key, r), KeyError)
        assert isinstance(raised(selector.modify, r, EVENT_READ), KeyError)
        assert isinstance(raised(selector.unregister, r), KeyError)
        assert r not in [key.fd for key, _ in selector.select(0)]
        key = selector.register(r, EVENT_READ, "new")
        assert (key, EVENT_READ) in selector.select(0)
    for fd in (r, w, other):
        os.close(fd)


@BOTH
def test_register_that_fails_leaves_no_key(cls):
    """The same promise: what the kernel refuses is not registered, and the number can be
    when it is a file that can be watched."""
    with cls() as selector, tempfile.TemporaryFile() as file:
        number = os.dup(file.fileno())
        assert raised(selector.register, number, EVENT_READ, "old").errno == errno.EPERM
        assert len(selector.get_map()) == 0
        assert isinstance(raised(selector.get_key, number), KeyError)
        assert isinstance(raised(selector.unregister, number), KeyError)
        assert selector.select(0) == []
        other = os.eventfd(1)
        os.dup2(other, number)
        key = selector.register(number, EVENT_READ, "new")
        assert selector.select(0) == [(key, EVENT_READ)]
        os.close(number)
        os.close(other)


@BOTH
def test_closed_descriptor_and_its_number_again(cls):
    """Closed without unregister: unregister works, the number starts over."""
    r, w = os.pipe()
    with cls() as selector:
        selector.register(r, EVENT_READ, "old")
        os.close(r)
        r2, w2 = os.pipe()
        assert r2 == r
        os.write(w2, b"x")
        assert isinstance(raised(selector.register, r, 1), KeyError)
        assert selector.unregister(r).data == "old"
        selector.register(r, EVENT_READ, "new")
        (key, _), = selector.select(1)
        assert key.data == "new"
    for fd in (w, r2, w2):
        os.close(fd)


@pytest.mark.parametrize("timeout", [1e-9, 0.0001, 0.003, 0.0123456])
def test_timeout_is_never_shorter_than_asked(timeout):
    """Fractions are rounded up, to a nanosecond."""
    with kevent.KeventSelector() as selector:
        t0 = time.monotonic_ns()
        assert selector.select(timeout) == []
        assert time.monotonic_ns() - t0 >= timeout * 1e9


def test_timeouts_that_do_not_block():
    """0, negative numbers, and anything that is a number."""
    from decimal import Decimal
    from fractions import Fraction
    with kevent.KeventSelector() as selector:
        for timeout in (0, -1, -0.5, float("-inf"), Decimal(0), Fraction(-1)):
            assert selector.select(timeout) == []
        assert selector.select(Fraction(1, 1000)) == []
        with pytest.raises(TypeError):
            selector.select("1")


def test_timeouts_too_large_for_the_clock(pair):
    """Centuries are as good as for ever."""
    pair[1].send(b"x")
    with kevent.KeventSelector() as selector:
        selector.register(pair[0], EVENT_READ)
        for timeout in (1e9, 1e300, 10**300):
            assert len(selector.select(timeout)) == 1


def test_everything_ready_is_told_once():
    """More than one harvest's worth, among more that is not ready."""
    fds = [os.eventfd(i % 3 == 0) for i in range(2500)]
    with kevent.KeventSelector() as selector:
        for fd in fds:
            selector.register(fd, EVENT_READ)
        for timeout in (0, None, 1, 0):
            told = [key.fd for key, _ in selector.select(timeout)]
            assert sorted(told) == sorted(fds[::3])
        for fd in fds[:100]:
            selector.unregister(fd)
        assert len(selector.select()) == len(fds[102::3])
    for fd in fds:
        os.close(fd)


def test_unregister_in_another_thread_while_selecting(pair):
    """register and unregister take effect on a select() that sleeps."""
    a, b = pair
    with kevent.KeventSelector() as selector:
        ready = []
        thread = threading.Thread(target=lambda: ready.extend(selector.select(20)))
        thread.start()
        selector.register(b, EVENT_READ)
        selector.unregister(b)
        key = selector.register(a, EVENT_WRITE, "now")
        thread.join(10)
        assert ready == [(key, EVENT_WRITE)]


def test_two_threads_select(pair):
    """Each gets what is ready, in memory of its own."""
    a, b = pair
    with kevent.KeventSelector() as selector:
        selector.register(a, EVENT_READ)
        results = []
        threads = [threading.Thread(target=lambda: results.append(selector.select(0.2)))
                   for _ in range(2)]
        for thread in threads:
            thread.start()
        b.send(b"x")
        for thread in threads:
            thread.join(10)
        assert any(results) and len(results) == 2


def test_close_while_another_thread_selects():
    """The sleeper is woken with an error."""
    selector = kevent.KeventSelector()
    errors = []
    started = threading.Event()

    def select():
        started.set()
        errors.append(raised(selector.select))

    thread = threading.Thread(target=select)
    thread.start()
    started.wait()
    selector.close()
    thread.join(10)
    assert isinstance(errors[0], (OSError, ValueError))


def test_handler_that_raises_and_handler_that_registers(pair):
    """PEP 475: the wait goes on after a handler, with what it registered."""
    a, _ = pair
    before = signal.getsignal(signal.SIGALRM)
    with kevent.KeventSelector() as selector:
        try:
            signal.signal(signal.SIGALRM,
                          lambda *_: selector.register(a, EVENT_WRITE))
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            (key, events), = selector.select(10)
            assert (key.fileobj, events) == (a, EVENT_WRITE)
            selector.unregister(a)

            def stop(*_):
                raise KeyboardInterrupt

            signal.signal(signal.SIGALRM, stop)
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            with pytest.raises(KeyboardInterrupt):
                selector.select(10)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def test_cycles_are_collected():
    """A selector that refers to itself through data, key and map."""
    selector = kevent.KeventSelector()
    fd = os.eventfd(1)
    selector.register(fd, EVENT_READ, (selector, selector.get_map()))
    selector.select(0)
    gone = weakref.ref(selector)
    number = selector.fileno()
    del selector
    gc.collect()
    assert gone() is None
    with pytest.raises(OSError):
        os.fstat(number)
    os.close(fd)


def test_data_that_unregisters_when_it_dies():
    """Python that runs inside a call finds a consistent selector."""
    fds = [os.eventfd(0) for _ in range(3)]
    with kevent.KeventSelector() as selector:
        class Evil:
            def __del__(self):
                for fd in list(selector.get_map() or ()):
                    if fd in selector.get_map():
                        selector.unregister(fd)

        for fd in fds:
            selector.register(fd, EVENT_READ, Evil())
        selector.modify(fds[0], EVENT_READ, None)
        assert len(selector.get_map()) == 0
        selector.register(fds[0], EVENT_READ, Evil())
    for fd in fds:
        os.close(fd)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_goes_on_in_a_forked_child(pair):
    """The child has the same registrations in a queue of its own; what it
    changes is not changed in the parent."""
    a, b = pair
    b.send(b"x")
    with kevent.KeventSelector() as selector:
        key = selector.register(a, EVENT_READ)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                told = selector.select(5)
                selector.unregister(a)
                if told == [(key, EVENT_READ)] and selector.select(0) == []:
                    code = 0
                selector.close()
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert selector.select(5) == [(key, EVENT_READ)]
