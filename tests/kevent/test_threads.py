"""Eight threads on one queue: each event goes to exactly one of them."""
import threading

import kevent
from kevent import KEVENT_CTL_ADD, KEVENT_CTL_READY, KEVENT_UNOTIFY, ukevent

THREADS = 8
KEVENTS = 1000
ROUNDS = 40


def test_none_lost_none_twice(fd):
    """40,000 events, made ready in batches, taken in batches of other sizes."""
    batch = [ukevent(i, KEVENT_UNOTIFY, user=i) for i in range(KEVENTS)]
    assert kevent.kevent_ctl(fd, KEVENT_CTL_ADD, batch) == []
    counts = [[0] * KEVENTS for _ in range(THREADS)]
    taken = threading.Semaphore(0)
    failures = []

    def work(number):
        mine = counts[number]
        while True:
            try:
                events = kevent.kevent_get_events(fd, 1, 1 + 7 * number)
            except OSError:
                return
            except BaseException as error:
                failures.append(error)
                raise
            for event in events:
                mine[event.user] += 1
            for _ in events:
                taken.release()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for _ in range(ROUNDS):
        for at in range(0, KEVENTS, 125):
            assert kevent.kevent_ctl(fd, KEVENT_CTL_READY, batch[at:at + 125]) == []
        for _ in range(KEVENTS):
            assert taken.acquire(timeout=20)
    assert kevent.kevent_get_events(fd, 0, 10, 0) == []
    kevent.kevent_close(fd)
    for thread in threads:
        thread.join(20)
    assert not failures
    assert [sum(column) for column in zip(*counts)] == [ROUNDS] * KEVENTS
