/*
 * constants.c - the KEVENT_* names, as module constants and in a repr.
 *
 * One table for both, in groups: what is a bit of which field decides what a
 * mask prints as.
 */
#include "mod/constants.h"

#include "kev/kevent.h"

enum group {
    GROUP_PLAIN,      /* in no mask */
    GROUP_TYPE,
    GROUP_REQ,
    GROUP_RET,
    GROUP_SOCKET,
    GROUP_POLL,
    GROUP_TIMER,
    GROUP_INODE,
    GROUP_SIGNAL,
    GROUP_PROC,
};

struct constant {
    const char *name;
    uint64_t value;
    enum group group;
};

#define C(name, group) {#name, name, GROUP_##group}

static const struct constant constants[] = {
    C(KEVENT_CTL_ADD, PLAIN),
    C(KEVENT_CTL_REMOVE, PLAIN),
    C(KEVENT_CTL_MODIFY, PLAIN),
    C(KEVENT_CTL_READY, PLAIN),

    C(KEVENT_REQ_ONESHOT, REQ),
    C(KEVENT_REQ_WAKEUP_ALL, REQ),
    C(KEVENT_REQ_ET, REQ),
    C(KEVENT_REQ_LAST_CHECK, REQ),
    C(KEVENT_REQ_ALWAYS_QUEUE, REQ),
    C(KEVENT_REQ_READY, REQ),
    C(KEVENT_REQ_LEVEL, REQ),
    C(KEVENT_REQ_COUNT, REQ),
    C(KEVENT_REQ_REPLACE, REQ),

    C(KEVENT_RET_BROKEN, RET),
    C(KEVENT_RET_DONE, RET),
    C(KEVENT_RET_COPY_FAILED, RET),

    C(KEVENT_SOCKET, TYPE),
    C(KEVENT_INODE, TYPE),
    C(KEVENT_TIMER, TYPE),
    C(KEVENT_POLL, TYPE),
    C(KEVENT_NAIO, TYPE),
    C(KEVENT_AIO, TYPE),
    C(KEVENT_PIPE, TYPE),
    C(KEVENT_SIGNAL, TYPE),
    C(KEVENT_POSIX_TIMER, TYPE),
    C(KEVENT_UNOTIFY, TYPE),
    C(KEVENT_MAX, PLAIN),
    C(KEVENT_PROC, TYPE),

    C(KEVENT_TIMER_FIRED, TIMER),

    C(KEVENT_SOCKET_RECV, SOCKET),
    C(KEVENT_SOCKET_ACCEPT, SOCKET),
    C(KEVENT_SOCKET_SEND, SOCKET),

    C(KEVENT_POLL_POLLIN, POLL),
    C(KEVENT_POLL_POLLPRI, POLL),
    C(KEVENT_POLL_POLLOUT, POLL),
    C(KEVENT_POLL_POLLERR, POLL),
    C(KEVENT_POLL_POLLHUP, POLL),
    C(KEVENT_POLL_POLLNVAL, POLL),
    C(KEVENT_POLL_POLLRDNORM, POLL),
    C(KEVENT_POLL_POLLRDBAND, POLL),
    C(KEVENT_POLL_POLLWRNORM, POLL),
    C(KEVENT_POLL_POLLWRBAND, POLL),
    C(KEVENT_POLL_POLLMSG, POLL),
    C(KEVENT_POLL_POLLREMOVE, POLL),
    C(KEVENT_POLL_POLLRDHUP, POLL),

    C(KEVENT_SIGNAL_DELIVERY, SIGNAL),
    C(KEVENT_SIGNAL_NOMASK, PLAIN),

    C(KEVENT_PROC_EXIT, PROC),
    C(KEVENT_PROC_STATUS, PROC),

    C(KEVENT_INODE_CREATE, INODE),
    C(KEVENT_INODE_REMOVE, INODE),
    C(KEVENT_INODE_MODIFY, INODE),
    C(KEVENT_INODE_ATTRIB, INODE),
    C(KEVENT_INODE_CLOSE_WRITE, INODE),
    C(KEVENT_INODE_CLOSE_NOWRITE, INODE),
    C(KEVENT_INODE_OPEN, INODE),
    C(KEVENT_INODE_ACCESS, INODE),
    C(KEVENT_INODE_MOVED_FROM, INODE),
    C(KEVENT_INODE_MOVED_TO, INODE),
    C(KEVENT_INODE_DELETE_SELF, INODE),
    C(KEVENT_INODE_MOVE_SELF, INODE),
    C(KEVENT_INODE_OVERFLOW, INODE),
    C(KEVENT_INODE_GONE, INODE),
    C(KEVENT_INODE_ISDIR, INODE),

    C(KEVENT_MASK_ALL, PLAIN),
    C(KEVENT_MASK_EMPTY, PLAIN),

    C(KEVENT_FLAGS_ABSTIME, PLAIN),
    C(KEVENT_FLAGS_REALTIME, PLAIN),
    C(KEVENT_FLAGS_BOOTTIME, PLAIN),
    C(KEVENT_FLAGS_SEEN, PLAIN),

    C(KEVENT_WAIT_FOREVER, PLAIN),
    C(KEVENT_RECORDS_KEPT, PLAIN),

    C(KEVENT_FEATURE_PROC, PLAIN),
    C(KEVENT_FEATURE_LEVEL, PLAIN),
    C(KEVENT_FEATURE_COUNT, PLAIN),
    C(KEVENT_FEATURE_REPLACE, PLAIN),
    C(KEVENT_FEATURE_SEEN, PLAIN),
    C(KEVENT_FEATURE_CLOCKS, PLAIN),
    C(KEVENT_FEATURE_RECORDS, PLAIN),
};

#undef C

#define CONSTANTS_COUNT (sizeof(constants) / sizeof(constants[0]))

int
KevConst_AddAll(PyObject *module)
{
    for (size_t i = 0; i < CONSTANTS_COUNT; i++) {
        PyObject *value = PyLong_FromUnsignedLongLong(constants[i].value);
        if (value == NULL) {
            return -1;
        }
        int r = PyModule_AddObjectRef(module, constants[i].name, value);
        Py_DECREF(value);
        if (r < 0) {
            return -1;
        }
    }
    return 0;
}

PyObject *
KevConst_TypeName(uint32_t type)
{
    for (size_t i = 0; i < CONSTANTS_COUNT; i++) {
        if (constants[i].group == GROUP_TYPE && constants[i].value == type) {
            return PyUnicode_FromString(constants[i].name);
        }
    }
    return PyUnicode_FromFormat("%u", (unsigned)type);
}

/* Appends "|text" (or text, to nothing) to *names, NULL on failure. */
static void
names_append(PyObject **names, PyObject *text)
{
    if (*names == NULL || text == NULL) {
        Py_XDECREF(text);
        Py_CLEAR(*names);
        return;
    }
    const char *format = PyUnicode_GET_LENGTH(*names) > 0 ? "%U|%U" : "%U%U";
    PyObject *longer = PyUnicode_FromFormat(format, *names, text);
    Py_DECREF(text);
    Py_SETREF(*names, longer);
}

static PyObject *
mask_names(enum group group, uint32_t mask)
{
    if (mask == KEVENT_MASK_ALL) {
        return PyUnicode_FromString("KEVENT_MASK_ALL");
    }
    PyObject *names = PyUnicode_FromString("");
    uint32_t rest = mask;
    for (size_t i = 0; i < CONSTANTS_COUNT && group != GROUP_PLAIN; i++) {
        const struct constant *constant = &constants[i];
        if (constant->group == group && (rest & constant->value) != 0) {
            rest &= ~(uint32_t)constant->value;
            names_append(&names, PyUnicode_FromString(constant->name));
        }
    }
    if (rest != 0) {
        names_append(&names, PyUnicode_FromFormat("0x%x", (unsigned)rest));
    }
    else if (mask == 0) {
        names_append(&names, PyUnicode_FromString("0"));
    }
    return names;
}

static enum group
group_of_type(uint32_t type)
{
    switch (type) {
    case KEVENT_SOCKET:
    case KEVENT_PIPE:
        return GROUP_SOCKET;
    case KEVENT_POLL:
        return GROUP_POLL;
    case KEVENT_TIMER:
        return GROUP_TIMER;
    case KEVENT_INODE:
        return GROUP_INODE;
    case KEVENT_SIGNAL:
        return GROUP_SIGNAL;
    case KEVENT_PROC:
        return GROUP_PROC;
    default:
        return GROUP_PLAIN;
    }
}

PyObject *
KevConst_EventNames(uint32_t type, uint32_t mask)
{
    return mask_names(group_of_type(type), mask);
}

PyObject *
KevConst_ReqNames(uint32_t mask)
{
    return mask_names(GROUP_REQ, mask);
}

PyObject *
KevConst_RetNames(uint32_t mask)
{
    return mask_names(GROUP_RET, mask);
}

uint32_t
KevConst_UsualEvents(uint32_t type)
{
    switch (type) {
    case KEVENT_SOCKET:
    case KEVENT_PIPE:
        return KEVENT_SOCKET_RECV;
    case KEVENT_POLL:
        return KEVENT_POLL_POLLIN;
    case KEVENT_TIMER:
        return KEVENT_TIMER_FIRED;
    case KEVENT_INODE:
        return KEVENT_INODE_CREATE | KEVENT_INODE_REMOVE;
    case KEVENT_SIGNAL:
        return KEVENT_SIGNAL_DELIVERY;
    case KEVENT_PROC:
        return KEVENT_PROC_EXIT;
    default:
        return KEVENT_MASK_ALL;
    }
}
