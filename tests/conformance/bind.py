"""Make asyncio hand out another event loop, before a test module is imported.

Test modules obtain their loops in four ways, and each is bound here:

* through the policy (`asyncio.new_event_loop`, `asyncio.Runner`, the tests'
  own policies derived from the default one): its `_loop_factory` is ours.
  This way alone works on every version, also where policies are private;
* by calling `asyncio.SelectorEventLoop` or `asyncio.EventLoop`, or by passing
  them on as a factory: those names are rebound to our class;
* from `asyncio.DefaultEventLoopPolicy()`: rebound if the module of the loop
  has an `EventLoopPolicy` that is a drop-in for it;
* by `SelectorEventLoop(EpollSelector())` in a `create_event_loop` method: a
  loop that brings its own poller takes no selector, so that method is
  replaced (`bind_classes`).

The classes from which a loop derives (`BaseSelectorEventLoop` and so on) stay
what they are. A census counts the instances, so that the report can tell a
test that ran on our loop from one that merely ran.
"""
from __future__ import annotations

import asyncio
import asyncio.unix_events as unix_events
import functools
import importlib
import inspect
import selectors
import warnings
from typing import Any, Callable

# The same tests again on another stdlib selector: once is enough.
DUPLICATES = frozenset({
    "SelectEventLoopTests", "PollEventLoopTests",
    "SelectSelectorTestCase", "PollSelectorTestCase",
})
SELECTOR_GIVEN = "EPollEventLoopTests"


class Census:
    """How many objects were made since `reset`: of the kind under test, and
    of the stdlib's kind on the side where ours was expected (strays)."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.made = 0
        self.strays = 0

    def count(self, cls: type, attribute: str, unless: tuple = ()) -> None:
        """Count instances of `cls` that are none of the classes `unless`.

        `__init__` is wrapped in place: a counting subclass would no longer be
        the very class under test.
        """
        init = cls.__init__

        @functools.wraps(init)
        def counting_init(self, *args, **kwargs):
            if not isinstance(self, unless):
                setattr(census, attribute, getattr(census, attribute) + 1)
            return init(self, *args, **kwargs)

        census = self
        cls.__init__ = counting_init


def resolve(spec: str) -> Any:
    """The object that "module:attribute" names; raises ImportError,
    AttributeError, or ValueError for a name of another form."""
    module, colon, attribute = spec.partition(":")
    if not colon or not attribute:
        raise ValueError(f"{spec!r} is not of the form module:attribute")
    return getattr(importlib.import_module(module), attribute)


def loop_class(factory: Callable) -> type:
    """The class of the loops that `factory` (a class or a function) makes."""
    if inspect.isclass(factory):
        return factory
    loop = factory()
    loop.close()
    return type(loop)


def policy_of(spec: str) -> type | None:
    """The policy next to the loop `spec`, if it can stand in for asyncio's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = importlib.import_module(spec.partition(":")[0])
        policy = getattr(module, "EventLoopPolicy", None)
    standard = unix_events._UnixDefaultEventLoopPolicy
    if inspect.isclass(policy) and issubclass(policy, standard):
        return policy
    return None


def bind_loop(spec: str | None, census: Census) -> Callable | None:
    """Make `spec` asyncio's loop; returns its factory.

    With None asyncio stays as it is and its own loops are counted.
    """
    standard = unix_events._UnixSelectorEventLoop
    if spec is None:
        census.count(standard, "made")
        return None

    factory = resolve(spec)
    cls = loop_class(factory)
    if cls is not standard:
        census.count(standard, "strays", unless=(cls,))
    census.count(cls, "made")

    default_policy = unix_events._UnixDefaultEventLoopPolicy
    default_policy._loop_factory = staticmethod(factory)
    policy = policy_of(spec)
    for module in (asyncio, unix_events):
        _rebind(module, ("SelectorEventLoop", "EventLoop"), cls)
        if policy is not None:
            _rebind(module, ("DefaultEventLoopPolicy",
                             "_DefaultEventLoopPolicy"), policy)
    return factory


def bind_selector(spec: str | None, census: Census) -> None:
    """Make `spec` the selectors module's default and epoll selector."""
    if spec is None:
        census.count(selectors.DefaultSelector, "made")
        return
    cls = resolve(spec)
    if cls is not selectors.EpollSelector:
        census.count(selectors.EpollSelector, "strays", unless=(cls,))
    census.count(cls, "made")
    _rebind(selectors, ("DefaultSelector", "EpollSelector"), cls)


def bind_classes(module: Any, factory: Callable | None) -> None:
    """Replace what asks for a loop on a given selector in `module`."""
    cls = vars(module).get(SELECTOR_GIVEN)
    if factory is not None and cls is not None:
        cls.create_event_loop = lambda self: factory()


def _rebind(module: Any, names: tuple, value: Any) -> None:
    """Set those of `names` that `module` has of its own (not the deprecated
    ones which a module `__getattr__` answers)."""
    for name in names:
        if name in vars(module):
            setattr(module, name, value)
