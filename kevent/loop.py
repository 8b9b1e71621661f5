"""The event loop: asyncio's own, driven from a kevent ring.

What runs per callback, per event or per byte is `_core.Loop`, in C.  What runs
once per loop or per connection is inherited from the asyncio of the running
Python, with its parameters, its order and its fixes.  This file is the seam:
it overrides what would reach for a selector.

Signals are asyncio's: a handler that Python runs in the main thread, told to
the loop through `signal.set_wakeup_fd` and a socket pair, whose readable end
is one more descriptor in the ring.  signalfd would want every signal blocked
in every thread, and a blocked mask is inherited by child processes and by
threads that are not ours.  The pair is made when the first handler is added.
"""
from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio import base_events, constants, events, format_helpers, sslproto, trsock
from errno import EMFILE, ENFILE, ENOBUFS, ENOMEM
from selectors import EVENT_READ, BaseSelector, SelectorKey
from socket import (
    AF_INET, AF_INET6, AF_UNIX, IPPROTO_TCP, SOCK_DGRAM, TCP_NODELAY, socket,
)

from . import _core
from .pipes import ReadPipeTransport, WritePipeTransport
from .transports import DatagramTransport, StreamTransport

__all__ = ("EventLoop", "new_event_loop", "run")

_OUT_OF_RESOURCES = frozenset((EMFILE, ENFILE, ENOBUFS, ENOMEM))


class _Watched(dict):
    """{descriptor: SelectorKey}, also found by an object with fileno()."""

    def __missing__(self, fileobj):
        try:
            fd = fileobj.fileno()
        except (AttributeError, TypeError, ValueError):
            fd = None
        if fd in self:
            return self[fd]
        raise KeyError(f"{fileobj!r} is not registered")


class _LoopSelector(BaseSelector):
    """The loop's watched descriptors in the shape of a selector.

    asyncio code looks at `loop._selector`; the loop itself does not use it.
    Programs that iterate by themselves (nest_asyncio) wait with select().
    """

    def __init__(self, loop):
        self._loop = loop

    def get_map(self):
        watched = self._loop._watched() if self._loop else {}
        return _Watched(
            (fd, SelectorKey(fd, fd, mask, (reader, writer)))
            for fd, (mask, reader, writer) in watched.items()
        )

    def register(self, fileobj, event_mask, data=None):
        raise NotImplementedError("use loop.add_reader() and loop.add_writer()")

    unregister = modify = register

    def select(self, timeout=None):
        """Wait for the loop's queue, for up to `timeout` seconds.

        What is told is that the queue is readable; its reader hands out all
        that has come to whom it concerns.
        """
        loop = self._loop
        if loop is None:
            raise RuntimeError("the loop is closed")
        if timeout is not None:
            timeout = int(min(max(timeout, 0), 86400) * 1e9)
        if not loop._poll(timeout):
            return []
        fd = loop.fileno()
        handle = asyncio.Handle(loop._hand_out, (), loop)
        return [(SelectorKey(fd, fd, EVENT_READ, (handle, None)), EVENT_READ)]

    def close(self):
        self._loop = None


@_core.hand_down
class EventLoop(_core.Loop, asyncio.SelectorEventLoop):
    """An asyncio event loop whose every wake-up comes out of a kevent ring."""

    # Tells the C half when a program has got it, and so may put methods into it.
    __dict__ = _core.Loop.__dict__["__dict__"]

    _stream_class = StreamTransport
    _datagram_class = DatagramTransport

    def __init__(self):
        super().__init__(_LoopSelector(self))

    # ---- running ----------------------------------------------------------

    if sys.version_info >= (3, 13):

        def run_forever(self):
            """Run until stop() is called."""
            self._run_forever_setup()
            try:
                self._look_for_patches()
                self._run()
            finally:
                self._run_forever_cleanup()

    else:

        def run_forever(self):
            """Run until stop() is called."""
            self._check_closed()
            self._check_running()
            self._set_coroutine_origin_tracking(self._debug)
            old_hooks = sys.get_asyncgen_hooks()
            try:
                self._thread_id = base_events.threading.get_ident()
                sys.set_asyncgen_hooks(
                    firstiter=self._asyncgen_firstiter_hook,
                    finalizer=self._asyncgen_finalizer_hook,
                )
                events._set_running_loop(self)
                self._look_for_patches()
                self._run()
            finally:
                self._stopping = False
                self._thread_id = None
                events._set_running_loop(None)
                self._set_coroutine_origin_tracking(False)
                sys.set_asyncgen_hooks(*old_hooks)

    def close(self):
        """Close the loop: its queue, its descriptors, its executor."""
        super().close()
        if not self.is_running():
            self._release()

    # ---- what a callback leaves behind --------------------------------------

    def _callback_failed(self, handle, exc):
        context = {
            "message": f"Exception in callback {_format_callback(self, handle)}",
            "exception": exc,
            "handle": handle,
        }
        if handle._source_traceback:
            context["source_traceback"] = handle._source_traceback
        self.call_exception_handler(context)

    def _stream_failed(self, transport, exc):
        self.call_exception_handler({
            "message": f"Exception in transport {transport!r}",
            "exception": exc,
            "transport": transport,
        })

    def _run_handle_debug(self, handle):
        if handle._cancelled:
            return
        try:
            self._current_handle = handle
            started = self.time()
            handle._run()
            took = self.time() - started
            if took >= self.slow_callback_duration:
                base_events.logger.warning(
                    "Executing %s took %.3f seconds",
                    base_events._format_handle(handle), took,
                )
        finally:
            self._current_handle = None
            # The frame of a task that failed leads here: no cycle through it.
            handle = None

    def _log_slow_stream(self, transport, started):
        took = _core.Loop.time(self) - started
        if took >= self.slow_callback_duration:
            base_events.logger.warning("Executing %r took %.3f seconds", transport, took)

    # ---- waking up --------------------------------------------------------------

    def _make_self_pipe(self):
        # The queue has a wake-up of its own; only signals need the pair.
        self._ssock = self._csock = None
        self._internal_fds += 1

    def _close_self_pipe(self):
        if self._ssock is not None:
            super()._close_self_pipe()
        self._internal_fds -= 1

    def add_signal_handler(self, sig, callback, *args):
        """Call callback(*args) in the loop when the signal arrives."""
        if self._ssock is None:
            self._check_closed()
            super()._make_self_pipe()
        super().add_signal_handler(sig, callback, *args)

    # ---- calls on sockets -----------------------------------------------------------

    # The C half gives the result, a future that will have it, or NotImplemented
    # for what is not ordinary; asyncio's coroutine begins anew then.

    async def sock_recv(self, sock, n):
        """Receive up to n bytes."""
        got = self._try_recv(sock, n)
        if type(got) is bytes:
            return got
        if got is NotImplemented:
            return await super().sock_recv(sock, n)
        try:
            return await got
        except BaseException:
            self._forget_call(sock, got)
            raise

    async def sock_recv_into(self, sock, buf):
        """Receive into a buffer; returns how many bytes."""
        got = self._try_recv_into(sock, buf)
        if type(got) is int:
            return got
        if got is NotImplemented:
            return await super().sock_recv_into(sock, buf)
        try:
            return await got
        except BaseException:
            self._forget_call(sock, got)
            raise

    async def sock_sendall(self, sock, data):
        """Send all of data."""
        got = self._try_sendall(sock, data)
        if got is None:
            return None
        if got is NotImplemented:
            return await super().sock_sendall(sock, data)
        try:
            return await got
        except BaseException:
            self._forget_call(sock, got)
            raise

    # ---- transports ----------------------------------------------------------------

    # What only looks like a socket, or has methods of its own, is served by
    # asyncio's transport, which calls those methods.

    def _make_socket_transport(self, sock, protocol, waiter=None, **kwargs):
        if not _is_plain(sock):
            return super()._make_socket_transport(sock, protocol, waiter, **kwargs)
        self._ensure_fd_no_transport(sock)
        return self._stream_class(self, sock, protocol, waiter, **kwargs)

    def _make_read_pipe_transport(self, pipe, protocol, waiter=None, extra=None):
        return ReadPipeTransport(self, pipe, protocol, waiter, extra)

    def _make_write_pipe_transport(self, pipe, protocol, waiter=None, extra=None):
        return WritePipeTransport(self, pipe, protocol, waiter, extra)

    def _make_ssl_transport(
            self, rawsock, protocol, sslcontext, waiter=None, *,
            server_side=False, server_hostname=None,
            ssl_handshake_timeout=constants.SSL_HANDSHAKE_TIMEOUT,
            ssl_shutdown_timeout=constants.SSL_SHUTDOWN_TIMEOUT, **kwargs):
        if not _is_plain(rawsock):
            return super()._make_ssl_transport(
                rawsock, protocol, sslcontext, waiter, server_side=server_side,
                server_hostname=server_hostname,
                ssl_handshake_timeout=ssl_handshake_timeout,
                ssl_shutdown_timeout=ssl_shutdown_timeout, **kwargs)
        self._ensure_fd_no_transport(rawsock)
        ssl_protocol = sslproto.SSLProtocol(
            self, protocol, sslcontext, waiter, server_side, server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout)
        self._stream_class(self, rawsock, ssl_protocol, **kwargs)
        return ssl_protocol._app_transport

    def _make_datagram_transport(self, sock, protocol, address=None, waiter=None, extra=None):
        if not _is_plain_datagram(sock):
            return super()._make_datagram_transport(sock, protocol, address, waiter, extra)
        self._ensure_fd_no_transport(sock)
        return self._datagram_class(self, sock, protocol, address, waiter, extra)

    def _start_serving(self, protocol_factory, sock, sslcontext=None,
                       server=None, *args, **kwargs):
        if _is_plain(sock) and sock.family in (AF_INET, AF_INET6):
            # Accepted sockets inherit it, so it is set once and not per connection.
            try:
                sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
            except OSError:
                pass  # not TCP
        super()._start_serving(protocol_factory, sock, sslcontext, server, *args, **kwargs)

    def _accept_connection(self, protocol_factory, sock, sslcontext=None,
                           server=None, backlog=100, *rest):
        if sslcontext is not None or self._debug or not _is_plain(sock):
            super()._accept_connection(
                protocol_factory, sock, sslcontext, server, backlog, *rest)
            return
        # rest: the timeouts of TLS, and from 3.15 on the server's context.
        context = rest[2] if len(rest) > 2 else None
        try:
            self._accept_streams(sock, protocol_factory, server, backlog, context)
        except OSError as exc:
            if exc.errno not in _OUT_OF_RESOURCES:
                raise
            # The listener stays readable: look away for a while.
            self.call_exception_handler({
                "message": "socket.accept() out of system resource",
                "exception": exc,
                "socket": trsock.TransportSocket(sock),
            })
            self._remove_reader(sock.fileno())
            self.call_later(
                constants.ACCEPT_RETRY_DELAY, self._serve_again,
                protocol_factory, sock, sslcontext, server, backlog, *rest)

    def _serve_again(self, protocol_factory, sock, *args):
        if sock.fileno() >= 0:  # the server was not closed meanwhile
            self._start_serving(protocol_factory, sock, *args)

    def _accept_failed(self, exc):
        if self._debug:
            self.call_exception_handler({
                "message": "Error on transport creation for incoming connection",
                "exception": exc,
            })

    async def _sendfile_native(self, transp, file, offset, count):
        resume_reading = transp.is_reading()
        transp.pause_reading()
        await transp._make_empty_waiter()
        transp._release_fd()
        try:
            return await self.sock_sendfile(
                transp._sock, file, offset, count, fallback=False)
        finally:
            transp._reset_empty_waiter()
            transp._reclaim_fd()
            if resume_reading:
                transp.resume_reading()


def _is_plain(sock):
    kind = type(sock)
    return kind is socket or (
        issubclass(kind, socket)
        and kind.recv is socket.recv
        and kind.recv_into is socket.recv_into
        and kind.send is socket.send
        and kind.sendmsg is socket.sendmsg
        and kind.accept is socket.accept
    )


def _is_plain_datagram(sock):
    kind = type(sock)
    return (
        kind is socket or (
            issubclass(kind, socket)
            and kind.recvfrom is socket.recvfrom
            and kind.send is socket.send
            and kind.sendto is socket.sendto
        )
    ) and sock.family in (AF_INET, AF_INET6, AF_UNIX) and sock.type == SOCK_DGRAM


def _format_callback(loop, handle):
    # Newer versions ask whether to show the arguments.
    if sys.version_info >= (3, 13, 1):
        try:
            return format_helpers._format_callback_source(
                handle._callback, handle._args, debug=loop.get_debug())
        except TypeError:
            pass
    return format_helpers._format_callback_source(handle._callback, handle._args)


def new_event_loop():
    """Make a kevent event loop (a factory for asyncio.Runner, uvicorn, anyio)."""
    return EventLoop()


def run(main, *, debug=None, streams=False):
    """asyncio.run() on a kevent loop: run the coroutine and return its result.

    With streams=True asyncio.open_connection(), start_server() and the other
    streams are those of kevent.streams until it returns.
    """
    if events._get_running_loop() is not None:
        # As asyncio.run(): before there is a loop that could not be run.
        raise RuntimeError("kevent.run() cannot be called from a running event loop")
    with contextlib.ExitStack() as stack:
        if streams:
            from .streams import patched

            stack.enter_context(patched())
        runner = stack.enter_context(
            asyncio.Runner(debug=debug, loop_factory=new_event_loop))
        return runner.run(main)
