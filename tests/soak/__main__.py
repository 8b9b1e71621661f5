"""Rounds until the time is up: `python -m tests.soak --help`."""
import argparse
import array
import asyncio
import concurrent.futures
import logging
import os
import sys
import threading
import time
import tracemalloc
import warnings

from .actors import ACTORS
from .census import Census
from .lateness import Lateness
from .world import World

# What memory may grow by from the early rounds to the last ones: caches of the
# standard library fill up slowly, and malloc's arenas break up.
BLOCKS_MORE = 0.01
ALLOCATED_MORE_KIB = 1024
RESIDENT_MORE_KIB = 3072


def new_loop(name):
    if name == "asyncio":
        return asyncio.SelectorEventLoop()
    import kevent
    return kevent.new_event_loop()


class Soak:
    """The rounds, and what was found in them."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.wrong = []
        self.first = {}        # number % 4: the first census of such rounds
        # Blocks, KiB (below 0 under ASan, whose malloc says nothing), KiB
        # resident of each round; no objects of each, which would themselves
        # be the growth of a long run.
        self.sizes = array.array("q")
        self.lateness = Lateness()
        self.actors = {name: ACTORS[name] for name in
                       arguments.only.split(",")}
        self.loop = new_loop(arguments.loop)
        self.loop.slow_callback_duration = 60
        executor = concurrent.futures.ThreadPoolExecutor(4)
        barrier = threading.Barrier(5)
        for _ in range(4):
            executor.submit(barrier.wait)      # all its threads are there
        barrier.wait()
        self.loop.set_default_executor(executor)

    def listen(self):
        """What is only logged, or dies in a destructor, is wrong, too."""
        wrong = self.wrong

        class Listener(logging.Handler):
            def emit(self, record):
                wrong.append(f"logged: {record.getMessage()}")

        logging.getLogger("asyncio").addHandler(Listener(logging.ERROR))
        sys.unraisablehook = self.died
        warnings.simplefilter("error", ResourceWarning)

    def died(self, info):
        said = f"in a destructor: {info.exc_value!r} {info.object!r}"
        source = getattr(info.exc_value, "source", None) or info.object
        if made := tracemalloc.get_object_traceback(source):
            said += "\n    " + "\n    ".join(made.format())
        self.wrong.append(said)

    def round(self, number, seconds):
        world = World(self.loop, self.arguments.seed,
                      not self.arguments.no_interrupts)
        # Every fourth round is in debug mode.
        self.loop.set_debug(number % 4 == 3)
        world.run_round(number, seconds, self.actors)
        self.loop.set_debug(False)
        wrong = world.wrong + world.ledger.wrong
        counts = world.counts + world.ledger.kept
        self.lateness.merge(world.lateness)
        self.late = str(world.lateness)
        del world
        census = Census(self.loop)
        # Each round is compared with the first of its kind.
        wrong += census.leaks_since(self.first.setdefault(number % 4, census))
        self.sizes.extend((census.blocks, census.allocated_kib,
                           census.resident_kib))
        self.wrong += [f"round {number}: {each}" for each in wrong]
        return counts

    def memory(self):
        """Sentences about what grew from the early rounds to the last."""
        if "libasan" in os.environ.get("LD_PRELOAD", ""):
            return []    # it keeps what was freed, so as to notice its use
        early, late = self.sizes[4 * 3:7 * 3], self.sizes[-3 * 3:]
        (blocks, kib, resident), (blocks_now, kib_now, resident_now) = (
            [min(part[which::3]) for which in range(3)] for part in (early, late))
        grown = []
        if blocks_now > blocks * (1 + BLOCKS_MORE):
            grown.append(f"{blocks_now} blocks, were {blocks}")
        if kib_now > kib + ALLOCATED_MORE_KIB:
            grown.append(f"{kib_now} KiB allocated, were {kib}")
        if resident_now > resident + RESIDENT_MORE_KIB:
            grown.append(f"{resident_now} KiB resident, were {resident}")
        return grown

    def run(self):
        """The number of faults; 0 is what is wanted."""
        self.listen()
        seconds = self.arguments.seconds
        rounds = max(10, round(seconds / 10))
        began = time.monotonic()
        total = None
        for number in range(rounds):
            left = seconds - (time.monotonic() - began)
            counts = self.round(number, max(0.2, left / (rounds - number)))
            total = counts if total is None else total + counts
            if self.arguments.verbose:
                blocks, kib, resident = self.sizes[-3:]
                print(f"round {number}: {sum(counts.values())} events, "
                      f"{blocks} blocks, {kib} KiB, {resident} KiB resident, "
                      f"{len(self.wrong)} wrong; late (ms): {self.late}",
                      flush=True)
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self.wrong += self.memory() + self.lateness.sluggish()
        for what, count in sorted(total.items()):
            print(f"{count:8} {what}")
        print(f"late by, in ms (p50/p99/max): {self.lateness}")
        print(f"{rounds} rounds, {time.monotonic() - began:.0f} s, "
              f"seed {self.arguments.seed}, {self.arguments.loop}: "
              f"{len(self.wrong)} wrong")
        for sentence in self.wrong[:50]:
            print(f"  {sentence}")
        return len(self.wrong)


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--seconds", type=float, default=float(
        os.environ.get("KEVENT_SOAK_SECONDS", "20")))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--loop", choices=["kevent", "asyncio"],
                        default="kevent")
    parser.add_argument("--no-interrupts", action="store_true",
                        help="no Ctrl-C")
    parser.add_argument("--verbose", action="store_true",
                        help="a line for each round")
    parser.add_argument("--only", default=",".join(ACTORS),
                        help="these actors, with commas between")
    parser.add_argument("--trace", action="store_true",
                        help="say where an object that is left was made")
    arguments = parser.parse_args()
    tracemalloc.start(20 if arguments.trace else 1)
    sys.exit(bool(Soak(arguments).run()))


main()
