"""KeventSelector, Queue and Ring under evil arguments and re-entrancy."""
from .child import run


def test_modify_with_an_index_that_unregisters():
    """modify() reads the key after asking the events for their number."""
    run("""
    selector = kevent.KeventSelector()
    left, right = socket.socketpair()
    class Evil:
        def __index__(self):
            selector.unregister(left)
            gc.collect()
            return 2
    class File:
        def fileno(self):
            return left.fileno()
    for fileobj in (left, File()):
        selector.register(left, 1)
        raises(KeyError, selector.modify, left, Evil())
    class Closes:
        def __index__(self):
            selector.close()
            return 1
    selector.register(left, 1)
    raises((KeyError, ValueError), selector.modify, left, Closes())
    """)


def test_selector_changes_under_itself():
    """fileno(), __index__, finalizers and threads that change the selector in
    the middle of a call."""
    run("""
    pairs = [socket.socketpair() for _ in range(50)]
    for act in ("close", "unregister", "register", "select", "map"):
        selector = kevent.KeventSelector()
        for left, right in pairs:
            right.send(b"x")
            selector.register(left, 1, object())
        class Evil:
            def __init__(self, value):
                self.value = value
            def __index__(self):
                self()
                return self.value
            fileno = __index__
            def __float__(self):
                self()
                return 0.0
            def __eq__(self, other):
                self()
                return True
            __hash__ = object.__hash__
            def __call__(self):
                try:
                    if act == "close":
                        selector.close()
                    elif act == "unregister":
                        for left, right in pairs:
                            selector.unregister(left)
                    elif act == "register":
                        for left, right in pairs:
                            selector.register(right, 3)
                    elif act == "select":
                        selector.select(0)
                    else:
                        list(selector.get_map().items())
                except (KeyError, ValueError, RuntimeError):
                    pass
        fd = pairs[0][0].fileno()
        for call in (lambda: selector.register(Evil(fd), 1), lambda: selector.register(1, Evil(1)),
                     lambda: selector.modify(Evil(fd), 3), lambda: selector.modify(fd, Evil(2)),
                     lambda: selector.unregister(Evil(fd)), lambda: selector.select(Evil(0)),
                     lambda: selector.get_key(Evil(fd)), lambda: selector.get_map()[Evil(fd)],
                     lambda: Evil(fd) in selector.get_map()):
            try:
                call()
            except (KeyError, ValueError, RuntimeError, TypeError, AttributeError, OSError):
                pass
            gc.collect()
        selector.close()
    """)


def test_queue_arguments_that_close_it():
    """An __index__ that closes the queue, or takes its ring away, in each
    argument of each call."""
    run("""
    import warnings
    warnings.simplefilter("ignore")
    def queue_with(act):
        queue = kevent.Queue(ring_size=8)
        left, right = socket.socketpair()
        queue.add(left.fileno(), kevent.KEVENT_POLL)
        right.send(b"x")
        class Evil:
            def __index__(self):
                if act == "close":
                    queue.close()
                elif act == "os.close":
                    os.close(queue.fileno())
                elif act == "detach":
                    queue.ring_init(None)
                elif act == "wait":
                    queue.wait(timeout=0)
                gc.collect()
                return 1
            fileno = __index__
            def __iter__(self):
                return iter([self])
        return queue, left, right, Evil()
    calls = {"wait": ("num", "seen", "timeout", "flags", "sigmask"),
             "get_events": ("min_nr", "max_nr", "timeout", "flags", "sigmask", "buf"),
             "commit": ("new_uidx", "over"), "add": ("id", "type", "event", "user"),
             "modify": ("id", "type"), "remove": ("id", "type"), "ready": ("id", "type"),
             "ctl": ("cmd", "events")}
    for act in ("close", "detach", "wait", "os.close"):
        for name, names in calls.items():
            for evil_name in names:
                queue, left, right, evil = queue_with(act)
                kwargs = {"timeout": 0} if "timeout" in names else {}
                if name in ("commit", "add", "modify", "remove", "ready", "ctl"):
                    kwargs = dict.fromkeys(names, 1)
                    if name == "ctl":
                        kwargs["events"] = []
                kwargs[evil_name] = evil
                try:
                    getattr(queue, name)(**kwargs)
                except (OSError, TypeError, ValueError, OverflowError):
                    pass
                try:
                    queue.close()
                except OSError:
                    pass
                left.close()
                right.close()
    """)


def test_ring_memory_is_scribbled_on():
    """The ring is the user's memory: whatever is written there misleads only
    who reads it."""
    run("""
    import random, struct
    random.seed(1)
    memory = bytearray(8 + 40 * 16)
    queue = kevent.Queue(ring=memory)
    pairs = [socket.socketpair() for _ in range(40)]
    for left, right in pairs:
        queue.add(left.fileno(), kevent.KEVENT_POLL, req_flags=kevent.KEVENT_REQ_LEVEL
                  | kevent.KEVENT_REQ_ALWAYS_QUEUE)
        right.send(b"x")
    for _ in range(3000):
        for _ in range(5):
            struct.pack_into("I", memory, 4 * random.randrange(len(memory) // 4),
                             random.choice([0, 1, 15, 16, 2**31, 2**32 - 1, random.getrandbits(32)]))
        for call in (lambda: queue.wait(random.randrange(17), timeout=0),
                     lambda: queue.wait(timeout=0, seen=random.getrandbits(32)),
                     lambda: queue.commit(random.choice([0, 5, 15, 16, 2**32 - 1]),
                                          random.choice([0, 1, 2**32 - 1])),
                     lambda: queue.get_events(0, 4, 0), lambda: repr(queue.ring),
                     lambda: list(queue.ring)):
            try:
                call()
            except (OSError, ValueError, OverflowError):
                pass
    raises(BufferError, memory.clear)
    queue.close()
    """)


def test_descriptors_closed_behind_our_back():
    """Descriptors of queues and loops closed or replaced with os.close() and
    dup2(): errors, and nobody else's descriptor is taken for ours."""
    run("""
    import warnings
    warnings.simplefilter("ignore")
    for _ in range(20):
        queue = kevent.Queue()
        selector = kevent.KeventSelector()
        left, right = socket.socketpair()
        selector.register(left, 1)
        for fd in (queue.fileno(), selector.fileno()):
            os.dup2(os.open("/dev/null", os.O_RDWR), fd)
        for call in (lambda: queue.get_events(0, 1, 0), lambda: selector.select(0),
                     lambda: selector.register(right, 1), lambda: queue.add(right, 3),
                     lambda: selector.unregister(left)):
            try:
                call()
            except (OSError, ValueError, KeyError):
                pass
        queue.close()
        selector.close()
        loop = new_loop()
        transport, theirs = connect(loop, Recorder())
        loop.add_reader(left, int)
        os.dup2(os.open("/dev/null", os.O_RDWR), loop.fileno())
        for call in (lambda: spin(loop, 2), lambda: loop.remove_reader(left),
                     lambda: loop.add_reader(right, int), lambda: transport.write(b"x" * 10**7),
                     transport.abort, loop.close):
            try:
                call()
            except (OSError, RuntimeError):
                pass
        del loop, transport, queue, selector
        gc.collect()
    """)


def test_evil_filenos_on_the_loop():
    """fileno() that closes, re-enters, raises, lies."""
    run("""
    loop = new_loop()
    left, right = socket.socketpair()
    class Evil:
        def __init__(self, act):
            self.act = act
        def fileno(self):
            return self.act()
    acts = [lambda: loop.close() or left.fileno(), lambda: -1, lambda: 2**40, lambda: "x",
            lambda: 1 / 0, lambda: loop.remove_reader(left) or left.fileno(),
            lambda: loop.add_reader(left, int) or left.fileno(), lambda: 1.5, lambda: None]
    for act in acts[1:] + acts[:1]:
        for name, args in (("add_reader", (int,)), ("add_writer", (int,)),
                           ("remove_reader", ()), ("remove_writer", ()),
                           ("_ensure_fd_no_transport", ())):
            try:
                getattr(loop, name)(Evil(act), *args)
            except (ValueError, TypeError, RuntimeError, OSError, OverflowError, ZeroDivisionError):
                pass
    loop.close()
    """)
