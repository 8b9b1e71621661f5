"""The table of behaviour: kevent's column has no failure, and the page is true."""
import sys

import pytest

from .__main__ import PAGE, ask, column, failed
from .probes import PROBES


@pytest.fixture(scope="module")
def page():
    return column(PAGE.read_text())


@pytest.mark.parametrize("name", PROBES)
def test_kevent(name, page):
    """kevent does it, and docs/behaviour.md says what it does."""
    if sys.version_info < PROBES[name].since:
        pytest.skip("asyncio of this Python does not have it")
    answer = ask(name, "kevent")
    if name == "sub_interpreter" and failed(answer) and failed(ask(name, "asyncio")):
        pytest.skip("asyncio alone crashes this CPython (3.12.1) in such an interpreter")
    assert not failed(answer), answer
    # The page was written by one Python, which may not have had it.
    assert page[PROBES[name].title] in (answer, "–")


def test_every_line_is_a_probe(page):
    """The page has the lines of probes.py, in their order."""
    assert list(page) == [probe.title for probe in PROBES.values()]
