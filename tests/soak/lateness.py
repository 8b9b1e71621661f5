"""How late the loop does what is due, all through a round.

Under load a timer every few milliseconds and a thread that calls in as often
see what everybody on this loop sees: the turns of the others, and a loop that
is held up.  They also keep it awake, and so hide a wake-up that is lost.  After
the last episode there is therefore a quiet series: the loop has nothing to do
but sleep until a thread, a byte or a timer wakes it, at moments drawn anew.

A bystander, a process of its own, sleeps as long: by what it was late itself
the machine stood still for everybody, and that is allowed for.
"""
import array
import asyncio
import contextlib
import math
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

BYSTANDER = Path(__file__).with_name("bystander.py")
EVERY_S = 0.005
TRIES = 50                  # of each kind in the quiet series
MOMENT_S = 0.0005           # the loop falls asleep within it, or has just done so
# A machine with five times the work it can do made a hundredth of all 0.12 s
# late, one of 60,000 0.63 s, and the bystander 0.10 s.  Later than this is only
# a loop that waits for something else, or cannot go on.
SLOWNESS = float(os.environ.get("KEVENT_TEST_SLOWNESS", "1"))
WORST_S = 2.0 * SLOWNESS
P99_S = 0.5 * SLOWNESS
BYSTANDERS = 5              # so many times its own lateness is allowed for
GUARD_S = 2.5 * WORST_S     # what ends the wait for a wake-up that was lost

STEPS = 20                  # buckets to each doubling, from a microsecond on
BUCKETS = 40 * STEPS


class Histogram:
    """Seconds, counted in logarithmic buckets: its size never changes."""

    def __init__(self):
        self.counts = array.array("Q", bytes(8 * BUCKETS))
        self.worst = 0.0

    def add(self, seconds):
        """Counts one; what is less than a microsecond is one."""
        bucket = math.ceil(STEPS * math.log2(max(seconds, 1e-6) * 1e6))
        self.counts[min(bucket, BUCKETS - 1)] += 1
        if seconds > self.worst:
            self.worst = seconds

    def merge(self, other):
        """Adds what another one counted."""
        for bucket, count in enumerate(other.counts):
            self.counts[bucket] += count
        self.worst = max(self.worst, other.worst)

    def __len__(self):
        return sum(self.counts)

    def quantile(self, part):
        """Seconds that this part of them does not exceed, 4 % too high at most."""
        rest = part * len(self)
        for bucket, count in enumerate(self.counts):
            rest -= count
            if rest <= 0:
                return min(2 ** (bucket / STEPS) * 1e-6, self.worst)
        return self.worst

    def __str__(self):
        return "/".join(f"{1000 * each:.2f}" for each in (
            self.quantile(0.5), self.quantile(0.99), self.worst))


class Lateness:
    """A histogram of each kind of event, and the seconds of the bystander."""

    def __init__(self):
        self.kinds = {}
        self.bystander = 0.0

    def add(self, kind, seconds):
        """Counts one event of the kind."""
        self.kinds.setdefault(kind, Histogram()).add(seconds)

    def merge(self, other):
        """Adds another round."""
        for kind, histogram in other.kinds.items():
            self.kinds.setdefault(kind, Histogram()).merge(histogram)
        self.bystander = max(self.bystander, other.bystander)

    def __str__(self):
        """p50/p99/max of each kind, in ms."""
        return ", ".join(
            [f"{kind} {histogram}" for kind, histogram in self.kinds.items()]
            + [f"bystander {1000 * self.bystander:.2f}"])

    def stalls(self):
        """Sentences about what was later than only a stall can make it."""
        limit = WORST_S + BYSTANDERS * self.bystander
        return [f"{kind}: {histogram.worst:.3f} s late, {limit:.3f} s allowed"
                for kind, histogram in self.kinds.items()
                if histogram.worst > limit]

    def sluggish(self):
        """Sentences about what was late as a rule; of a whole run."""
        limit = P99_S + BYSTANDERS * self.bystander
        return [f"{kind}: one of 100 was {late:.3f} s late, {limit:.3f} s allowed"
                for kind, histogram in self.kinds.items()
                if (late := histogram.quantile(0.99)) > limit]

    # ---- what is measured ---------------------------------------------------

    @contextlib.contextmanager
    def beside_a_bystander(self):
        """It is started, and asked at the end."""
        with subprocess.Popen([sys.executable, "-I", "-S", BYSTANDER],
                              stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as process:
            try:
                yield
            finally:
                said, _ = process.communicate()
        self.bystander = float(said)

    @contextlib.contextmanager
    def under_load(self, loop):
        """While it lasts a timer and a thread call in; run the loop in it."""
        stop = threading.Event()
        came = []              # the thread's calls that were not counted yet
        due = loop.time() + EVERY_S

        def tick():
            nonlocal due, timer
            now = loop.time()
            self.add("timer", now - due)
            due = now + EVERY_S
            timer = loop.call_at(due, tick)

        def arrived(sent):
            self.add("thread", time.monotonic() - sent)
            came.remove(sent)

        def call_in():
            while not stop.wait(EVERY_S):
                sent = time.monotonic()
                came.append(sent)
                loop.call_soon_threadsafe(arrived, sent)

        timer = loop.call_at(due, tick)
        thread = threading.Thread(target=call_in, daemon=True)
        thread.start()
        try:
            yield
        finally:
            timer.cancel()
            stop.set()
            thread.join()
            # What has not come yet is at least as late as this.
            self.add("timer", loop.time() - due)
            for sent in came:
                self.add("thread", time.monotonic() - sent)

    async def when_quiet(self, rng):
        """The quiet series: each kind of wake-up, alone."""
        loop = asyncio.get_running_loop()
        await self._woken("quiet thread", rng, loop.call_soon_threadsafe)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            actions = []

            def readable():
                ours.recv(1)
                actions.pop()()

            def send(action):
                actions.append(action)
                theirs.send(b"x")

            loop.add_reader(ours, readable)
            try:
                await self._woken("quiet byte", rng, send)
            finally:
                loop.remove_reader(ours)
        for _ in range(TRIES):
            due = loop.time() + rng.uniform(0, 4 * MOMENT_S)
            rung = loop.create_future()
            timer = loop.call_at(due, rung.set_result, None)
            await asyncio.wait([rung], timeout=GUARD_S)
            timer.cancel()
            self.add("quiet timer", loop.time() - due)

    async def _woken(self, kind, rng, wake):
        """TRIES times a thread calls wake(action), which has to make action()
        run in the loop; the thread waits for it before it goes on."""
        done = asyncio.get_running_loop().create_future()
        heard = threading.Event()
        left = TRIES
        given_up = False
        sent = time.monotonic()

        def action():
            nonlocal left
            self.add(kind, time.monotonic() - sent)
            left -= 1
            if left == 0 and not done.done():
                done.set_result(None)
            heard.set()

        def outside():
            nonlocal sent
            while left and not given_up:
                time.sleep(rng.uniform(0, MOMENT_S))
                heard.clear()
                if given_up:
                    break
                sent = time.monotonic()
                wake(action)
                heard.wait()

        thread = threading.Thread(target=outside, daemon=True)
        thread.start()
        await asyncio.wait([done], timeout=GUARD_S)
        if not done.done():
            self.add(kind, time.monotonic() - sent)
            given_up = True
            heard.set()
        thread.join()
