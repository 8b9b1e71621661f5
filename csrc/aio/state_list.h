/*
 * state_list.h - what the loop layer keeps in the module's state.
 */
#ifndef KEV_AIO_STATE_LIST_H
#define KEV_AIO_STATE_LIST_H

#include "aio/freelist.h"
#include "aio/streams_list.h"

#define KEV_AIO_STATE(X)                                                  \
    /* our types */                                                       \
    X(handle_type) X(timer_type) X(safe_handle_type)                      \
    X(ready_type) X(loop_type)                                            \
    X(stream_type) X(datagram_type) X(sock_call_type)                     \
    /* of Python's, looked up once */                                     \
    X(extract_stack) X(getframe) X(buffered_protocol)                     \
    X(thread_safe_handle) X(socket_class) X(set_result_unless_cancelled)  \
    X(tasks_module) X(futures_module) X(base_create_task)                 \
    X(offer_gil)                                                          \
    X(kwnames_loop) X(kwnames_context)                                    \
    X(str_task_class) X(str_future_class)                                 \
    X(context_alias) /* another object that says "context" */             \
    /* interned names */                                                  \
    X(str_context) X(str_run) X(str_underscore_run)                       \
    X(str_underscore_cancelled) X(str_cancel) X(str_time)                 \
    X(str_run_once) X(str_call_at) X(str_call_soon) X(str_get_debug)      \
    X(str_check_thread) X(str_check_callback)                             \
    X(str_callback_failed) X(str_run_handle_debug)                        \
    X(str_stream_failed) X(str_stream_class) X(str_accept_failed)         \
    X(str_data_received) X(str_get_buffer) X(str_buffer_updated)          \
    X(str_eof_received) X(str_connection_made) X(str_connection_lost)     \
    X(str_pause_writing) X(str_resume_writing) X(str_fatal_error)         \
    X(str_connection_lost_own) X(str_attach) X(str_detach) X(str_close)   \
    X(str_done) X(str_set_result) X(str_set_exception) X(str_log)         \
    X(str_gettimeout)                                                     \
    X(str_loop) X(str_datagram_received) X(str_datagrams_received)        \
    X(str_error_received)                                                 \
    X(pipe_reader_type) X(pipe_writer_type) X(str_underscore_fileno)      \
    X(str_underscore_closing)                                             \
    X(str_protocol) X(str_read_end) X(str_read_failed)                    \
    X(str_write_slowly) X(str_write_failed) X(str_write_on_failed)        \
    X(str_all_written) X(str_keep)                                        \
    KEV_STREAMS_STATE(X)

/* What the interned names say, in the same order. */
#define KEV_AIO_NAMES(X)                                                  \
    X(str_context, "context") X(str_run, "run")                           \
    X(str_underscore_run, "_run")                                         \
    X(str_underscore_cancelled, "_cancelled") X(str_cancel, "cancel")     \
    X(str_time, "time") X(str_run_once, "_run_once")                      \
    X(str_call_at, "call_at") X(str_call_soon, "call_soon")               \
    X(str_get_debug, "get_debug")                                         \
    X(str_check_thread, "_check_thread")                                  \
    X(str_check_callback, "_check_callback")                              \
    X(str_callback_failed, "_callback_failed")                            \
    X(str_run_handle_debug, "_run_handle_debug")                          \
    X(str_stream_failed, "_stream_failed")                                \
    X(str_stream_class, "_stream_class")                                  \
    X(str_accept_failed, "_accept_failed")                                \
    X(str_data_received, "data_received")                                 \
    X(str_get_buffer, "get_buffer")                                       \
    X(str_buffer_updated, "buffer_updated")                               \
    X(str_eof_received, "eof_received")                                   \
    X(str_connection_made, "connection_made")                             \
    X(str_connection_lost, "connection_lost")                             \
    X(str_pause_writing, "pause_writing")                                 \
    X(str_resume_writing, "resume_writing")                               \
    X(str_fatal_error, "_fatal_error")                                    \
    X(str_connection_lost_own, "_call_connection_lost")                   \
    X(str_attach, "_attach") X(str_detach, "_detach")                     \
    X(str_close, "close") X(str_done, "done")                             \
    X(str_set_result, "set_result") X(str_set_exception, "set_exception") \
    X(str_gettimeout, "gettimeout")                                       \
    X(str_log, "_log") X(str_loop, "loop")                                \
    X(str_task_class, "Task") X(str_future_class, "Future")               \
    X(str_datagram_received, "datagram_received")                         \
    X(str_datagrams_received, "datagrams_received")                       \
    X(str_error_received, "error_received")                               \
    X(str_underscore_fileno, "_fileno")                                   \
    X(str_underscore_closing, "_closing")                                 \
    X(str_protocol, "_protocol")                                          \
    X(str_read_end, "_read_end") X(str_read_failed, "_read_failed")       \
    X(str_write_slowly, "_write_slowly")                                  \
    X(str_write_failed, "_write_failed")                                  \
    X(str_write_on_failed, "_write_on_failed")                            \
    X(str_all_written, "_all_written") X(str_keep, "_keep")               \
    KEV_STREAMS_NAMES(X)

struct aio_cache {
    struct kev_freelist handles;
    struct kev_freelist waiters;
    const PyMethodDef *task_wakeup;  /* of asyncio's task, once seen */
};

#endif
