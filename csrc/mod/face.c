/*
 * face.c - what the kevent face does at import and at the end.
 */
#include "mod/calls.h"
#include "mod/constants.h"
#include "mod/descriptor.h"
#include "mod/queue_type.h"
#include "mod/records.h"
#include "mod/ring_type.h"
#include "mod/selector.h"
#include "mod/state.h"
#include "mod/ukevent.h"

int
KevFace_Setup(PyObject *module, ModState *state)
{
    state->str_fileno = PyUnicode_InternFromString("fileno");
    if (state->str_fileno == NULL
        || KevConst_AddAll(module) < 0
        || KevUkevent_Setup(module, state) < 0
        || KevRing_Setup(module, state) < 0
        || KevCalls_Setup(module) < 0
        || KevRecords_Setup(module, state) < 0
        || KevQueue_Setup(module, state) < 0
        || KevSelectorMap_Setup(module, state) < 0
        || KevSelector_Setup(module, state) < 0)
    {
        return -1;
    }
    return 0;
}

void
KevFace_Teardown(ModState *state)
{
    KevFd_Teardown(state);
}
