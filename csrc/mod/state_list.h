/*
 * state_list.h - what the kevent face keeps in the module's state.
 */
#ifndef KEV_MOD_STATE_LIST_H
#define KEV_MOD_STATE_LIST_H

#define KEV_FACE_STATE(X)

struct face_cache {
    int unused;
};

#endif
