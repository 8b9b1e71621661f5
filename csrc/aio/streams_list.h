/*
 * streams_list.h - what the stream classes keep in the module's state.
 */
#ifndef KEV_AIO_STREAMS_LIST_H
#define KEV_AIO_STREAMS_LIST_H

#define KEV_STREAMS_STATE(X)                                              \
    X(op_type) X(reader_type) X(stream_protocol_type) X(writer_type)      \
    X(incomplete_read_error) X(limit_overrun_error) X(newline)            \
    X(str_append) X(str_cancelled) X(str_create_future)                   \
    X(str_drain_helper) X(str_exception) X(str_feed_data)                 \
    X(str_is_closing) X(str_pause_reading) X(str_readline)                \
    X(str_readuntil) X(str_remove) X(str_resume_reading) X(str_write)     \
    X(str_writelines)

/* What the interned names say, in the same order. */
#define KEV_STREAMS_NAMES(X)                                              \
    X(str_append, "append") X(str_cancelled, "cancelled")                 \
    X(str_create_future, "create_future")                                 \
    X(str_drain_helper, "_drain_helper") X(str_exception, "exception")    \
    X(str_feed_data, "feed_data") X(str_is_closing, "is_closing")         \
    X(str_pause_reading, "pause_reading") X(str_readline, "readline")     \
    X(str_readuntil, "readuntil") X(str_remove, "remove")                 \
    X(str_resume_reading, "resume_reading") X(str_write, "write")         \
    X(str_writelines, "writelines")

#endif
