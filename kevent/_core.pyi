"""Types of kevent._core, the C half of kevent."""
from collections.abc import Iterable, Iterator, Mapping
from selectors import SelectorKey
from types import TracebackType
from typing import Any, Final, Protocol, TypeVar, final, overload

from _typeshed import FileDescriptorLike, ReadableBuffer, WriteableBuffer, structseq
from typing_extensions import Self, disjoint_base

# ---- the kevent calls -------------------------------------------------------

KEVENT_CTL_ADD: int
KEVENT_CTL_REMOVE: int
KEVENT_CTL_MODIFY: int
KEVENT_CTL_READY: int
KEVENT_REQ_ONESHOT: int
KEVENT_REQ_WAKEUP_ALL: int
KEVENT_REQ_ET: int
KEVENT_REQ_LAST_CHECK: int
KEVENT_REQ_ALWAYS_QUEUE: int
KEVENT_REQ_READY: int
KEVENT_REQ_LEVEL: int
KEVENT_REQ_COUNT: int
KEVENT_REQ_REPLACE: int
KEVENT_RET_BROKEN: int
KEVENT_RET_DONE: int
KEVENT_RET_COPY_FAILED: int
KEVENT_SOCKET: int
KEVENT_INODE: int
KEVENT_TIMER: int
KEVENT_POLL: int
KEVENT_NAIO: int
KEVENT_AIO: int
KEVENT_PIPE: int
KEVENT_SIGNAL: int
KEVENT_POSIX_TIMER: int
KEVENT_UNOTIFY: int
KEVENT_MAX: int
KEVENT_PROC: int
KEVENT_TIMER_FIRED: int
KEVENT_SOCKET_RECV: int
KEVENT_SOCKET_ACCEPT: int
KEVENT_SOCKET_SEND: int
KEVENT_POLL_POLLIN: int
KEVENT_POLL_POLLPRI: int
KEVENT_POLL_POLLOUT: int
KEVENT_POLL_POLLERR: int
KEVENT_POLL_POLLHUP: int
KEVENT_POLL_POLLNVAL: int
KEVENT_POLL_POLLRDNORM: int
KEVENT_POLL_POLLRDBAND: int
KEVENT_POLL_POLLWRNORM: int
KEVENT_POLL_POLLWRBAND: int
KEVENT_POLL_POLLMSG: int
KEVENT_POLL_POLLREMOVE: int
KEVENT_POLL_POLLRDHUP: int
KEVENT_SIGNAL_DELIVERY: int
KEVENT_SIGNAL_NOMASK: int
KEVENT_PROC_EXIT: int
KEVENT_PROC_STATUS: int
KEVENT_INODE_CREATE: int
KEVENT_INODE_REMOVE: int
KEVENT_INODE_MODIFY: int
KEVENT_INODE_ATTRIB: int
KEVENT_INODE_CLOSE_WRITE: int
KEVENT_INODE_CLOSE_NOWRITE: int
KEVENT_INODE_OPEN: int
KEVENT_INODE_ACCESS: int
KEVENT_INODE_MOVED_FROM: int
KEVENT_INODE_MOVED_TO: int
KEVENT_INODE_DELETE_SELF: int
KEVENT_INODE_MOVE_SELF: int
KEVENT_INODE_OVERFLOW: int
KEVENT_INODE_GONE: int
KEVENT_INODE_ISDIR: int
KEVENT_MASK_ALL: int
KEVENT_MASK_EMPTY: int
KEVENT_FLAGS_ABSTIME: int
KEVENT_FLAGS_REALTIME: int
KEVENT_FLAGS_BOOTTIME: int
KEVENT_FLAGS_SEEN: int
KEVENT_WAIT_FOREVER: int
KEVENT_RECORDS_KEPT: int
KEVENT_FEATURE_PROC: int
KEVENT_FEATURE_LEVEL: int
KEVENT_FEATURE_COUNT: int
KEVENT_FEATURE_REPLACE: int
KEVENT_FEATURE_SEEN: int
KEVENT_FEATURE_CLOCKS: int
KEVENT_FEATURE_RECORDS: int

class _HasFileno(Protocol):
    def fileno(self) -> int: ...

_Id = int | tuple[int, int] | _HasFileno

@final
class ukevent:
    id: int
    raw: tuple[int, int]
    type: int
    event: int
    req_flags: int
    ret_flags: int
    ret_data: tuple[int, int]
    user: int
    def __new__(
        cls,
        id: _Id,
        type: int,
        event: int | None = None,
        req_flags: int | None = 0,
        user: int = 0,
    ) -> Self: ...
    @classmethod
    def from_buffer(cls, buffer: ReadableBuffer, index: int = 0) -> ukevent: ...
    def __eq__(self, other: object, /) -> bool: ...
    __hash__: None  # type: ignore[assignment]
    def __buffer__(self, flags: int, /) -> memoryview: ...

@final
class Ring:
    def __new__(cls, num: int) -> Self: ...
    @classmethod
    def from_buffer(cls, buffer: WriteableBuffer, /) -> Ring: ...
    @property
    def kidx(self) -> int: ...
    @property
    def over(self) -> int: ...
    @property
    def size(self) -> int: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> ukevent: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

def kevent_features() -> int: ...
def kevent_open(flags: int = 0) -> int: ...
def kevent_init(
    ring: Ring | WriteableBuffer | None = None, num: int = 0, flags: int = 0
) -> int: ...
def kevent_close(fd: FileDescriptorLike, /) -> None: ...
@overload
def kevent_ctl(
    fd: FileDescriptorLike, cmd: int, events: list[ukevent] | tuple[ukevent, ...]
) -> list[ukevent]: ...
@overload
def kevent_ctl(fd: FileDescriptorLike, cmd: int, events: WriteableBuffer) -> int: ...
@overload
def kevent_get_events(
    fd: FileDescriptorLike,
    min_nr: int,
    max_nr: int,
    timeout: int | None = None,
    buf: None = None,
    flags: int = 0,
    sigmask: Iterable[int] | None = None,
) -> list[ukevent]: ...
@overload
def kevent_get_events(
    fd: FileDescriptorLike,
    min_nr: int,
    max_nr: int,
    timeout: int | None,
    buf: WriteableBuffer,
    flags: int = 0,
    sigmask: Iterable[int] | None = None,
) -> int: ...
@overload
def kevent_get_events(
    fd: FileDescriptorLike,
    min_nr: int,
    max_nr: int,
    timeout: int | None = None,
    *,
    buf: WriteableBuffer,
    flags: int = 0,
    sigmask: Iterable[int] | None = None,
) -> int: ...
def kevent_ring_init(
    fd: FileDescriptorLike, ring: Ring | WriteableBuffer | None
) -> None: ...
def kevent_wait(
    fd: FileDescriptorLike,
    num: int | None,
    seen: int | None = None,
    timeout: int | None = None,
    flags: int = 0,
    sigmask: Iterable[int] | None = None,
    commit: int | None = None,
) -> int: ...
def kevent_commit(fd: FileDescriptorLike, new_uidx: int, over: int) -> int: ...
def kevent_timer(
    fd: FileDescriptorLike,
    cmd: int,
    event: ukevent,
    initial: int = 0,
    interval: int = 0,
    flags: int = 0,
) -> None: ...
def kevent_record(
    fd: FileDescriptorLike, event: ukevent | int
) -> siginfo | inode_record: ...

@final
class siginfo(structseq[int], tuple[int, int, int, int, int, int, int, int, int]):
    __match_args__: Final = (
        "si_signo", "si_code", "si_errno", "si_pid", "si_uid", "si_status", "si_band",
        "si_value", "count",
    )
    @property
    def si_signo(self) -> int: ...
    @property
    def si_code(self) -> int: ...
    @property
    def si_errno(self) -> int: ...
    @property
    def si_pid(self) -> int: ...
    @property
    def si_uid(self) -> int: ...
    @property
    def si_status(self) -> int: ...
    @property
    def si_band(self) -> int: ...
    @property
    def si_value(self) -> int: ...
    @property
    def count(self) -> int: ...  # type: ignore[override]

@final
class inode_record(structseq[Any], tuple[int, int, str]):
    __match_args__: Final = ("mask", "cookie", "name")
    @property
    def mask(self) -> int: ...
    @property
    def cookie(self) -> int: ...
    @property
    def name(self) -> str: ...

@disjoint_base
class Queue:
    def __new__(
        cls,
        ring: Ring | WriteableBuffer | None = None,
        ring_size: int | None = None,
    ) -> Self: ...
    @property
    def closed(self) -> bool: ...
    @property
    def ring(self) -> Ring | None: ...
    def add(
        self,
        id: _Id | ukevent,
        type: int | None = None,
        event: int | None = None,
        req_flags: int | None = ...,
        user: int = 0,
    ) -> ukevent | None: ...
    def modify(
        self,
        id: _Id | ukevent,
        type: int | None = None,
        event: int | None = None,
        req_flags: int | None = ...,
    ) -> None: ...
    def remove(self, id: _Id | ukevent, type: int | None = None) -> None: ...
    def ready(
        self, id: _Id | ukevent | None = None, type: int | None = None
    ) -> None: ...
    def add_timer(
        self,
        id: _Id,
        initial: int = 0,
        interval: int = 0,
        flags: int = 0,
        type: int = ...,
        req_flags: int = 0,
        user: int = 0,
    ) -> None: ...
    def modify_timer(
        self,
        id: _Id,
        initial: int = 0,
        interval: int = 0,
        flags: int = 0,
        type: int = ...,
        req_flags: int = 0,
    ) -> None: ...
    def record(self, event: ukevent | int) -> siginfo | inode_record: ...
    @overload
    def ctl(
        self, cmd: int, events: list[ukevent] | tuple[ukevent, ...]
    ) -> list[ukevent]: ...
    @overload
    def ctl(self, cmd: int, events: WriteableBuffer) -> int: ...
    @overload
    def get_events(
        self,
        min_nr: int = 1,
        max_nr: int = 64,
        timeout: int | None = None,
        buf: None = None,
        flags: int = 0,
        sigmask: Iterable[int] | None = None,
    ) -> list[ukevent]: ...
    @overload
    def get_events(
        self,
        min_nr: int = 1,
        max_nr: int = 64,
        timeout: int | None = None,
        *,
        buf: WriteableBuffer,
        flags: int = 0,
        sigmask: Iterable[int] | None = None,
    ) -> int: ...
    def wait(
        self,
        num: int | None = None,
        seen: int | None = None,
        timeout: int | None = None,
        flags: int = 0,
        sigmask: Iterable[int] | None = None,
        commit: int | None = None,
    ) -> int: ...
    def ring_init(self, ring: Ring | WriteableBuffer | None) -> None: ...
    def commit(self, new_uidx: int, over: int) -> int: ...
    def fileno(self) -> int: ...
    def close(self) -> None: ...
    def statistics(self) -> dict[str, int]: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc: BaseException | None = None,
        traceback: TracebackType | None = None,
        /,
    ) -> None: ...

# ---- the selector -----------------------------------------------------------

@disjoint_base
class SelectorMap:
    def __len__(self) -> int: ...
    def __getitem__(self, fileobj: FileDescriptorLike, /) -> SelectorKey: ...
    def __contains__(self, fileobj: object, /) -> bool: ...
    def __iter__(self) -> Iterator[int]: ...
    def get(self, fileobj: FileDescriptorLike, default: Any = None, /) -> Any: ...

@disjoint_base
class Selector:
    def register(
        self, fileobj: FileDescriptorLike, events: int, data: Any = None
    ) -> SelectorKey: ...
    def unregister(self, fileobj: FileDescriptorLike) -> SelectorKey: ...
    def modify(
        self, fileobj: FileDescriptorLike, events: int, data: Any = None
    ) -> SelectorKey: ...
    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]: ...
    def get_map(self) -> Mapping[FileDescriptorLike, SelectorKey]: ...
    def get_key(self, fileobj: FileDescriptorLike, /) -> SelectorKey: ...
    def fileno(self) -> int: ...
    def close(self) -> None: ...

# ---- for the classes of this package -----------------------------------------

_Class = TypeVar("_Class", bound=type)

def hand_down(cls: _Class, /) -> _Class: ...
