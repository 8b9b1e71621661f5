"""Each rule catches what it is for, and lets the good form through."""
import re
import textwrap

import pytest

import rules

GOOD_TYPE = """\
static int
thing_tp_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static PyType_Slot thing_slots[] = {
    {Py_tp_traverse, thing_tp_traverse},
    {Py_tp_dealloc, thing_tp_dealloc},
    {0, NULL},
};

static PyType_Spec thing_spec = {
    .name = "kevent._core.Thing",
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC
             | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = thing_slots,
};
"""


def long_function(lines):
    return "int\nlong_one(void)\n{\n" + "    call();\n" * lines + "}\n"


PLANTED = [
    # layers
    ("csrc/kev/queue.c", "#include <Python.h>\n", "the core includes"),
    ("csrc/kev/queue.c", '#include "Python.h"\n', "the core includes"),
    ("csrc/kev/queue.c", '#include "mod/state.h"\n', "the core includes"),
    ("csrc/kev/queue.h", '#  include "aio/loop.h"\n', "the core includes"),
    ("csrc/mod/calls.c", '#include "aio/loop.h"\n', "the face includes"),
    ("csrc/mod/state.h", '#include "aio/handle.h"\n', "the face includes"),
    ("csrc/aio/loop.c", '#include "kev/queue.h"\n', "the loop includes"),
    ("csrc/aio/loop.c", '#include "mod/ukevent.h"\n', "the loop includes"),
    ("csrc/aio/loop.c", '#include "../kev/queue.h"\n', "start at csrc/"),
    # the core's manners
    ("csrc/kev/wait.c", "    int n = epoll_wait(fd, e, 1, 0);\n", "epoll_wait"),
    ("csrc/kev/wait.c", "    (void)close(fd);\n", "close()"),
    ("csrc/kev/wait.c", "    syscall (SYS_futex);\n", "syscall()"),
    ("csrc/kev/wait.c", "    abort();\n", "abort()"),
    ("csrc/kev/wait.c", '    fprintf(stderr, "x");\n', "fprintf()"),
    ("csrc/kev/wait.c", "    return -errno;\n", "errno is read"),
    # CPython
    ("csrc/aio/loop.c", "    _PyObject_GC_UNTRACK(self);\n", "private"),
    ("csrc/mod/calls.c", GOOD_TYPE.replace("    Py_VISIT(Py_TYPE(self));\n",
                                           ""), "does not visit Py_TYPE"),
    ("csrc/mod/calls.c", GOOD_TYPE.replace(
        "    {Py_tp_traverse, thing_tp_traverse},\n", ""),
     "without Py_tp_traverse"),
    ("csrc/mod/calls.c", GOOD_TYPE.replace(
        "    {Py_tp_dealloc, thing_tp_dealloc},\n", ""),
     "without Py_tp_dealloc"),
    ("csrc/mod/calls.c", GOOD_TYPE.replace(
        "Py_TPFLAGS_HAVE_GC", "Py_TPFLAGS_BASETYPE"), "without HAVE_GC"),
    ("csrc/mod/calls.c", GOOD_TYPE.replace("Py_TPFLAGS_IMMUTABLETYPE", "0"),
     "neither IMMUTABLETYPE"),
    # state
    ("csrc/mod/calls.c", "static int count;\n", "mutable static"),
    ("csrc/mod/calls.c", "static PyObject *cache = NULL;\n", "mutable static"),
    ("csrc/aio/loop.c", "static const char *name = 0;\n", "mutable static"),
    ("csrc/aio/loop.c", "int\nf(void)\n{\n    static int calls = 0;\n}\n",
     "mutable static"),
    ("csrc/aio/loop.c", "__thread int depth;\n", "mutable static"),
    ("csrc/aio/loop.c", "int depth = 0;\n", "mutable static"),
    ("csrc/kev/wait.c", "static int has_pwait2 = 1;\n", "mutable static"),
    # shape
    ("csrc/kev/heap.c", "\tint a;\n", "a tab"),
    ("csrc/kev/heap.c", "/* " + "x" * 80 + " */\n", "columns"),
    ("csrc/kev/heap.c", "int f(void) {\n", "brace"),
    ("README.md", "two blanks  \n", "blanks"),
    ("README.md", "no newline", "no newline"),
    ("README.md", "end\n\n", "empty lines"),
    ("csrc/kev/heap.c", "/* */\n" * 901, "901 lines"),
    ("csrc/kev/heap.c", long_function(90), "long_one: 92 lines"),
    ("kevent/loop.py", "def long_one():\n" + "    call()\n" * 90,
     "long_one: 91 lines"),
    # Python
    ("kevent/loop.py", "import aiohttp\n", "does not ship"),
    ("kevent/loop.py", "from kevent.policy import P\n", "imports kevent.policy"),
    ("kevent/loop.py", "from . import selectors\n", "imports kevent.selectors"),
    ("kevent/loop.py", "import kevent\n", "imports kevent"),
    ("kevent/selectors.py", "import asyncio\n", "imports asyncio"),
    ("kevent/selectors.py", "from .loop import EventLoop\n", "kevent.loop"),
    ("kevent/policy.py", "from ._core import Loop\n", "kevent._core"),
    # words
    ("csrc/kev/heap.c", "/* see /" "work/main */\n", "some machine"),
    ("tests/aio/test_x.py", "PATH = '/" "root/x'\n", "some machine"),
    ("Makefile", "curl https://py" "pi.org/x\n", "registry"),
    ("README.md", "TO" "DO\n", "open end"),
]


@pytest.mark.parametrize("path, text, expected", PLANTED)
def test_planted(path, text, expected):
    """The planted violation is found."""
    assert expected in "\n".join(rules.check(path, text))


GOOD = [
    ("csrc/kev/queue.c", '#include "kev/ring.h"\n#include <errno.h>\n'),
    ("csrc/kev/sys.c", "    return close(fd) < 0 ? -errno : 0;\n"),
    ("csrc/kev/wait.c", "    verbs->read(kev);\n    kev_sys_close(fd);\n"),
    ("csrc/kev/wait.c", '    /* never abort() */ note("close(3)");\n'),
    ("csrc/mod/module.c", '#include "aio/loop.h"\n'),
    ("csrc/mod/state.h", '#include "aio/state_list.h"\n'),
    ("csrc/aio/loop.c", '#include "kev/owned.h"\n#include "mod/state.h"\n'),
    ("csrc/mod/calls.c", GOOD_TYPE),
    ("csrc/kev/sys.c", "#ifdef KEV_FAULTS\nstatic long countdown = -1;\n"
                       "#endif\n"),
    ("csrc/mod/calls.c", "#define FLAGS \\\n    (Py_TPFLAGS_HAVE_GC | "
                         "Py_TPFLAGS_IMMUTABLETYPE)\n" + re.sub(
        r"Py_TPFLAGS_DEFAULT.*\n.*TYPE,", "FLAGS,", GOOD_TYPE)),
    ("csrc/mod/calls.c", "static PyMethodDef methods[] = {\n"
                         "    {NULL, NULL, 0, NULL},\n};\n"),
    ("csrc/mod/calls.c", "static const char *const names[] = {\n    0,\n};\n"),
    ("csrc/mod/calls.c", "static int helper(int a, int b);\n"),
    ("csrc/mod/calls.c", "static PyObject *\nhelper(int a)\n{\n    "
                         "static char *kwlist[] = {0};\n}\n"),
    ("csrc/kev/heap.c", long_function(80)),
    ("kevent/loop.py", "import asyncio\nfrom ._core import Loop\n"),
    ("kevent/__init__.py", "from .loop import EventLoop\n"),
    ("README.md", "`make demo`\n"),
]


@pytest.mark.parametrize("path, text", GOOD)
def test_good_form(path, text):
    """The accepted form of the same thing is not reported."""
    assert rules.check(path, text) == []


def test_every_rule_is_tried():
    """No rule is without a planted violation."""
    caught = {line.rsplit("(", 1)[1].rstrip(")")
              for path, text, _ in PLANTED
              for line in rules.check(path, text)}
    assert caught == {rule.__name__ for rule, _, _ in rules.RULES}


def test_line_numbers():
    """A slip is reported at its own line."""
    text = textwrap.dedent("""\
        /* two
           lines */
        static int count;
    """)
    (slip,) = rules.mutable_data("csrc/mod/calls.c", text)
    assert slip.line == 3
