/*
 * streams_list.h - what the stream classes keep in the module's state.
 */
#ifndef KEV_AIO_STREAMS_LIST_H
#define KEV_AIO_STREAMS_LIST_H

#define KEV_STREAMS_STATE(X)                                              \
    X(op_type) X(waiter_type) X(waiter_iter_type) X(reader_type)          \
    X(stream_protocol_type) X(writer_type)                                \
    /* the classes that programs have of them: hand_down() */             \
    X(reader_class) X(stream_protocol_class) X(stream_class)              \
    X(loop_class)                                                         \
    X(incomplete_read_error) X(limit_overrun_error) X(newline)            \
    /* asyncio's: the future in C and its methods, the classes whose */   \
    /* readers are fed directly and their methods; each or None */        \
    X(future_type) X(future_set_result) X(future_result)                  \
    X(future_blocking) X(future_set_exception) X(future_cancel)           \
    X(future_repr) X(task_type)                                           \
    X(invalid_state_error) X(get_running_loop)                            \
    X(standard_protocol) X(standard_reader) X(standard_data_received)     \
    X(standard_feed_data) X(standard_wakeup_waiter)                       \
    X(str_append) X(str_cancelled) X(str_create_future)                   \
    X(str_drain_helper) X(str_exception) X(str_feed_data)                 \
    X(str_is_closing) X(str_pause_reading) X(str_readline)                \
    X(str_readuntil) X(str_remove) X(str_resume_reading) X(str_write)     \
    X(str_writelines) X(str_read) X(str_wait_for_data) X(str_buffer)      \
    X(str_eof) X(str_waiter) X(str_limit) X(str_stream_reader_wr)         \
    X(str_wakeup_waiter) X(str_result) X(str_blocking)                    \
    X(str_get_loop) X(str_add_done_callback)

/* What the interned names say, in the same order. */
#define KEV_STREAMS_NAMES(X)                                              \
    X(str_append, "append") X(str_cancelled, "cancelled")                 \
    X(str_create_future, "create_future")                                 \
    X(str_drain_helper, "_drain_helper") X(str_exception, "exception")    \
    X(str_feed_data, "feed_data") X(str_is_closing, "is_closing")         \
    X(str_pause_reading, "pause_reading") X(str_readline, "readline")     \
    X(str_readuntil, "readuntil") X(str_remove, "remove")                 \
    X(str_resume_reading, "resume_reading") X(str_write, "write")         \
    X(str_writelines, "writelines") X(str_read, "read")                   \
    X(str_wait_for_data, "_wait_for_data") X(str_buffer, "_buffer")       \
    X(str_eof, "_eof") X(str_waiter, "_waiter") X(str_limit, "_limit")    \
    X(str_stream_reader_wr, "_stream_reader_wr")                          \
    X(str_wakeup_waiter, "_wakeup_waiter") X(str_result, "result")        \
    X(str_blocking, "_asyncio_future_blocking")                           \
    X(str_get_loop, "get_loop")                                           \
    X(str_add_done_callback, "add_done_callback")

#endif
