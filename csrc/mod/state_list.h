/*
 * state_list.h - what the kevent face keeps in the module's state.
 */
#ifndef KEV_MOD_STATE_LIST_H
#define KEV_MOD_STATE_LIST_H

#include <stddef.h>

#define KEV_FACE_STATE(X) \
    X(ukevent_type)       \
    X(ring_type)          \
    X(siginfo_type)       \
    X(inode_record_type)  \
    X(queue_type)         \
    X(selector_type)      \
    X(selector_map_type)  \
    X(selector_key)       \
    X(str_fileno)

struct face_queue;

struct face_cache {
    struct face_queue **by_fd;      /* open queues, indexed by descriptor */
    size_t by_fd_size;
#ifdef Py_GIL_DISABLED
    PyMutex lock;                   /* guards by_fd and each queue's users */
#endif
};

#endif
