"""Handles, timers, tasks, threads, descriptors and life of a loop, loop beside loop.

    python -m pytest benchmarks/test_inside.py [--loops asyncio,kevent] [-k timers]

A group of the table is one workload; a round is as many operations as its name
says.  The workloads are those of benchmarks/inside.py, and so is the time: a
workload knows what of its run counts and what only prepares it.
"""
import pytest

from benchmarks.inside import WORKLOADS, Bench

pytest.importorskip("pytest_benchmark")


class Spent:
    """A clock that goes on by what workloads say they took."""

    def __init__(self):
        self.ns = 0

    def run(self, workload, bench, count):
        self.ns += workload.run(bench, count)

    def __call__(self):
        return self.ns / 1e9


spent = Spent()


@pytest.mark.benchmark(timer=spent)
@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=lambda one: one.name)
def test_loop(benchmark, workload, factory, loop_name):
    """A tenth of the ordinary number of operations, some rounds of it."""
    count = max(workload.count // 10, 100 if workload.name == "gather" else 5)
    benchmark.group = f"{workload.group}: {workload.title} (x {count:,})"
    benchmark.extra_info.update(loop=loop_name, operations=count)
    is_large = workload.name.endswith("1000000")
    loop = factory()
    try:
        benchmark.pedantic(spent.run, (workload, Bench(loop, factory), count),
                           rounds=2 if is_large else 5, warmup_rounds=0 if is_large else 1)
    finally:
        loop.close()
