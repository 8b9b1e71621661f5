"""asyncio's reader and ours in the same random scripts: every result, exception
and call of the transport is the same, and so is what is left in the buffer."""
import asyncio.streams
import functools

import pytest

from kevent import streams

from . import scripts

# Not as asyncio.StreamReader: in a process with patched names that is ours.
STANDARD = asyncio.streams.StreamReader


def compare(script, limit, can_pause):
    expected = scripts.trace(STANDARD, script, limit, can_pause)
    found = scripts.trace(streams.StreamReader, script, limit, can_pause)
    assert tolerant(found) == tolerant(expected)


def tolerant(trace):
    """The words of a TypeError are not promised, only that it is one."""
    def one(item):
        if isinstance(item, tuple):
            return item[:1] if item[:1] == (TypeError,) else tuple(map(one, item))
        return item
    return [one(item) for item in trace]


@pytest.mark.parametrize("block", range(20))
def test_random_scripts(block):
    """Seeded scripts, so that this runs where hypothesis is not installed."""
    for seed in range(block * 100, block * 100 + 100):
        script, limit, can_pause = scripts.random_script(seed)
        try:
            compare(script, limit, can_pause)
        except AssertionError as exc:
            raise AssertionError(f"seed {seed}: {script} {limit} {can_pause}") from exc


@functools.cache
def comparison():
    """A function that compares scripts which hypothesis makes.  It is made once:
    hypothesis keeps something of each function, and each strategy, that it sees."""
    hypothesis = pytest.importorskip("hypothesis")
    from hypothesis import strategies as st

    data = st.lists(st.sampled_from(list(scripts.ALPHABET)), max_size=40).map(bytes)
    sizes = st.sampled_from((-1, 0, 1, 2, 3, 7, 20, 90))
    step = st.one_of(
        st.tuples(st.just("feed"), st.one_of(data, data.map(bytearray))),
        st.tuples(st.just("turn")), st.tuples(st.just("readline")),
        st.tuples(st.just("anext")), st.tuples(st.just("eof")),
        st.tuples(st.just("cancel")), st.tuples(st.just("look")),
        st.tuples(st.sampled_from(("read", "readexactly", "second")), sizes),
        st.tuples(st.just("readuntil"), st.sampled_from(scripts.SEPARATORS)),
        st.tuples(st.just("fail"), st.integers(0, 1)),
        st.tuples(st.just("limit"), st.sampled_from((1, 3, 8, 50))))

    @hypothesis.settings(max_examples=500, deadline=None, database=None)
    @hypothesis.given(st.lists(step, max_size=40), st.sampled_from((1, 2, 5, 16, 2 ** 16)),
                      st.sampled_from((True, False, None)))
    def same(script, limit, can_pause):
        compare(script, limit, can_pause)

    return same


def test_hypothesis_scripts():
    """Scripts that hypothesis makes, and makes smaller when one fails."""
    comparison()()
