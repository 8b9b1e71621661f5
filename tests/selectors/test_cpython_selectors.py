"""CPython's own selector tests, as shipped with the interpreter, on ours."""
import unittest

import pytest

import kevent

suite = pytest.importorskip("test.test_selectors")


class KeventSelectorTest(suite.BaseSelectorTestCase,
                         suite.ScalableSelectorMixIn, unittest.TestCase):
    """What every selector, and every scalable one, must do."""

    SELECTOR = kevent.KeventSelector


# What the stdlib asks of its epoll and kqueue selectors beyond that: told
# errors for files that cannot be watched, a timeout without any file.
EXTRA = {
    "EpollSelectorTestCase": ["test_register_file"],
    "KqueueSelectorTestCase": ["test_register_bad_fd",
                               "test_empty_select_timeout"],
}


class KeventSelectorExtraTest(unittest.TestCase):
    SELECTOR = kevent.KeventSelector


for case, names in EXTRA.items():
    for name in names:
        setattr(KeventSelectorExtraTest, name,
                vars(getattr(suite, case))[name])
