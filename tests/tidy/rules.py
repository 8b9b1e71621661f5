"""What the source text must keep, as functions over (path, text).

Each rule yields Slip(line, message).  RULES says which rule looks at which
files; test_tidy.py applies them to the tree, test_rules.py plants a violation
for each.  A rule reads text, not a syntax tree of C: the layout that the
project keeps (a function's braces in column 0) makes that enough.
"""
from __future__ import annotations

import ast
import re
import sys
from fnmatch import fnmatch
from typing import Callable, Iterator, NamedTuple

from statics import OF_THE_PROCESS

FILE_LINES = 900
FUNCTION_LINES = 90
C_COLUMNS = 79


class Slip(NamedTuple):
    line: int
    message: str


def line_of(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def code_of(text: str) -> str:
    """C text with comments, strings and characters blanked, same length."""
    token = re.compile(
        r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'',
        re.S)

    def blank(match: re.Match) -> str:
        return re.sub(r"[^\n]", " ", match[0])

    return token.sub(blank, text)


def functions(text: str) -> Iterator[tuple[str, int, str]]:
    """(name, first line, body) of each C function, by braces in column 0."""
    code = code_of(text)
    for match in re.finditer(r"^(\w+)\([^;{}]*\)\s*\n\{\n(.*?)^\}", code,
                             re.M | re.S):
        yield match[1], line_of(code, match.start()), match[2]


# ---- layers ---------------------------------------------------------------

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+[<"]([^>"]+)[>"]', re.M)

AIO_SEES = {
    "kev": {"kev/kevent.h", "kev/owned.h"},
    "mod": {"mod/state.h", "mod/python.h", "mod/errors.h", "mod/args.h",
            "mod/compat.h"},
}
FACE_SEES_AIO = {
    "csrc/mod/state.h": {"aio/state_list.h"},
}


def layers(path: str, text: str) -> Iterator[Slip]:
    """Who may include whom: core nothing, face core, loop a few headers."""
    layer = path.split("/")[1]
    for match in INCLUDE.finditer(text):
        name = match[1]
        line = line_of(text, match.start())
        room = name.split("/")[0] if "/" in name else ""
        if name.startswith(".."):
            yield Slip(line, f"{name}: includes start at csrc/")
        if layer == "kev":
            if name in ("Python.h", "structmember.h"):
                yield Slip(line, f"the core includes {name}")
            if room in ("mod", "aio"):
                yield Slip(line, f"the core includes {name}")
        elif layer == "mod" and room == "aio":
            if (path != "csrc/mod/module.c"
                    and name not in FACE_SEES_AIO.get(path, ())):
                yield Slip(line, f"the face includes {name}")
        elif layer == "aio" and room in AIO_SEES:
            if name not in AIO_SEES[room]:
                yield Slip(line, f"the loop includes {name}")


SYSTEM_CALLS = """
    accept accept4 access bind chdir clock_getres clock_gettime
    clock_nanosleep clone close connect dup dup2 dup3 epoll_create
    epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd
    eventfd_read eventfd_write execve fcntl fork fstat ftruncate futex
    getpid getsockopt gettid gettimeofday inotify_add_watch inotify_init
    inotify_init1 inotify_rm_watch ioctl kill lseek lstat mmap mprotect
    munmap nanosleep open openat pidfd_open pidfd_send_signal pipe pipe2
    poll ppoll prctl pread pselect pwrite read readv recv recvfrom recvmsg
    sched_yield select send sendfile sendmsg sendto setsockopt shutdown
    signalfd sigprocmask socket socketpair splice stat syscall tgkill
    timer_create timerfd_create timerfd_gettime timerfd_settime usleep
    waitid waitpid write writev
""".split()
NO_MEMBER = r"(?<![\w.>])"


def system_calls(path: str, text: str) -> Iterator[Slip]:
    """In the core only sys.c talks to the kernel: faults are injected there."""
    code = code_of(text)
    pattern = NO_MEMBER + "(" + "|".join(SYSTEM_CALLS) + r")\s*\("
    for match in re.finditer(pattern, code):
        yield Slip(line_of(code, match.start()),
                   f"{match[1]}() outside of sys.c")


def core_manners(path: str, text: str) -> Iterator[Slip]:
    """The core returns -errno: it does not log, exit or abort."""
    code = code_of(text)
    for match in re.finditer(
            NO_MEMBER + r"(abort|exit|_exit|printf|fprintf|vfprintf|puts|"
            r"fputs|perror|syslog)\s*\(", code):
        yield Slip(line_of(code, match.start()), f"{match[1]}() in the core")
    if not path.endswith("/sys.c"):
        for match in re.finditer(NO_MEMBER + r"errno\b(?!\.h)", code):
            yield Slip(line_of(code, match.start()),
                       "errno is read in sys.c only")


# ---- CPython's rules ------------------------------------------------------

def private_names(path: str, text: str) -> Iterator[Slip]:
    """No private API of CPython."""
    code = code_of(text)
    for match in re.finditer(r"\b_Py[A-Z]\w*", code):
        yield Slip(line_of(code, match.start()), f"private: {match[0]}")


def type_specs(path: str, text: str) -> Iterator[Slip]:
    """A heap type with HAVE_GC traverses, and visits its own type.

    Without it may be a type that holds no object and cannot be subclassed.
    """
    code = code_of(text)
    macros = {match[1]: match[2] for match in re.finditer(
        r"^# *define (\w+) ((?:.*\\\n)*.*)$", code, re.M)}
    bodies = {name: body for name, _, body in functions(text)}
    slots = {match[1]: match[2] for match in re.finditer(
        r"PyType_Slot\s+(\w+)\[\]\s*=\s*\{(.*?)^\};", code, re.M | re.S)}
    for match in re.finditer(r"PyType_Spec\s+(\w+)\s*=\s*\{(.*?)^\};", code,
                             re.M | re.S):
        spec, body = match[1], match[2]
        line = line_of(code, match.start())
        for name, value in macros.items():
            body = re.sub(rf"\b{name}\b", lambda _: value, body)
        is_base = "Py_TPFLAGS_BASETYPE" in body
        # A type over a Python class cannot be immutable (3.14): it says so.
        said = "not immutable:" in text.lower()
        if "Py_TPFLAGS_IMMUTABLETYPE" not in body and not is_base and not said:
            yield Slip(line, f"{spec}: neither IMMUTABLETYPE nor BASETYPE")
        if "Py_TPFLAGS_HAVE_GC" not in body:
            if is_base:
                yield Slip(line, f"{spec}: BASETYPE without HAVE_GC")
            continue
        table = re.search(r"\.slots\s*=\s*(\w+)", body)
        table = slots.get(table[1]) if table else None
        if table is None:
            yield Slip(line, f"{spec}: its slots are not in this file")
            continue
        traverse = re.search(r"\{\s*Py_tp_traverse\s*,\s*(?:\(void \*\))?"
                             r"\s*(\w+)", table)
        if traverse is None:
            yield Slip(line, f"{spec}: HAVE_GC without Py_tp_traverse")
            continue
        if "Py_tp_dealloc" not in table:
            yield Slip(line, f"{spec}: HAVE_GC without Py_tp_dealloc")
        visits = bodies.get(traverse[1], "")
        if not re.search(r"Py_VISIT\(\s*Py_TYPE\(|_[tT]raverse\(", visits):
            yield Slip(line, f"{spec}: {traverse[1]} does not visit Py_TYPE")


TABLES = re.compile(
    r"\b(PyModuleDef|PyMethodDef|PyType_Slot|PyType_Spec|PyMemberDef|"
    r"PyGetSetDef|PyModuleDef_Slot|PyStructSequence_Desc|"
    r"PyStructSequence_Field)\b")


def mutable_data(path: str, text: str) -> Iterator[Slip]:
    """State lives in the module: no static data but the C API's own tables.

    Spared is what only the fault-injecting build of the core has, and what is
    the process's own.
    """
    code = re.sub(r"^#ifdef KEV_FAULTS\n.*?^#(?:else|endif)",
                  lambda match: "\n" * match[0].count("\n"),
                  code_of(text), flags=re.M | re.S)
    depth = 0
    for number, line in enumerate(code.split("\n"), 1):
        stripped = line.strip()
        is_static = re.match(r"(?:static|_Thread_local|__thread)\b", stripped)
        declares = (depth == 0 and re.match(
            r"(?:struct \w+|unsigned|int|long|char|size_t|u?int\d+_t|"
            r"Py\w+)\b[^()]*(?:=|;)", line)
            and not line.startswith("struct ") or
            depth == 0 and re.match(r"struct \w+ \**\w+(?:\[.*\])? *(?:=|;)",
                                    line))
        depth += line.count("{") - line.count("}")
        if not is_static and not declares:
            continue
        if TABLES.search(stripped) or re.search(r"\binline\b", stripped):
            continue
        if is_static and not re.search(r"[=;]", stripped):
            continue                       # a function, its name follows
        head = re.split(r"=", stripped)[0]
        if "(" in head and not re.search(r"\(\*", head):
            continue                       # a prototype
        if re.match(r"static char \*\w*(?:list|keywords|names)\[\]", stripped):
            continue                       # what PyArg_Parse* wants
        if is_const(head) or (path, re.split(r"\W+", head.strip("; "))[-1]) in OF_THE_PROCESS:
            continue
        yield Slip(number, f"mutable static data: {stripped[:50]}")


def is_const(declaration: str) -> bool:
    """Whether the declared object itself (not what it points to) is const."""
    if "*" in declaration:
        return bool(re.search(r"\*\s*const\b[^*]*$", declaration))
    return bool(re.search(r"\bconst\b", declaration))


# ---- shape ----------------------------------------------------------------

def c_text(path: str, text: str) -> Iterator[Slip]:
    """PEP 7's columns, no tabs, and the brace of a function on its own line."""
    for number, line in enumerate(text.split("\n"), 1):
        if "\t" in line:
            yield Slip(number, "a tab")
        if len(line) > C_COLUMNS:
            yield Slip(number, f"{len(line)} columns")
        if re.match(r"[\w*][\w* ]*\b(?!struct|union|enum)\w+\(.*\)\s*\{",
                    line) and "=" not in line:
            yield Slip(number, "a function's brace is on a line of its own")


def all_text(path: str, text: str) -> Iterator[Slip]:
    """No blanks at line ends, and a newline at the end of the file."""
    for number, line in enumerate(text.split("\n"), 1):
        if line != line.rstrip():
            yield Slip(number, "blanks at the end of the line")
    if text and not text.endswith("\n"):
        yield Slip(text.count("\n") + 1, "no newline at the end of the file")
    if text.endswith("\n\n"):
        yield Slip(text.count("\n"), "empty lines at the end of the file")


def file_length(path: str, text: str) -> Iterator[Slip]:
    """Over FILE_LINES a file hides a second one."""
    lines = text.count("\n")
    if lines > FILE_LINES:
        yield Slip(lines, f"{lines} lines")


def function_length(path: str, text: str) -> Iterator[Slip]:
    """Over FUNCTION_LINES a function hides a second one."""
    if path.endswith(".py"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = node.end_lineno - node.lineno + 1
                if lines > FUNCTION_LINES:
                    yield Slip(node.lineno, f"{node.name}: {lines} lines")
        return
    for name, line, body in functions(text):
        lines = body.count("\n") + 2
        if lines > FUNCTION_LINES:
            yield Slip(line, f"{name}: {lines} lines")


# ---- Python ---------------------------------------------------------------

# Who may import what of the package.  asyncio is not for the selector: a
# program that only wants to wait for descriptors should not load it.
PACKAGE_IMPORTS = {
    "__init__.py": {"_core", "loop", "policy", "selectors", "streams"},
    "__main__.py": {"", "loop", "policy"},
    "loop.py": {"_core", "pipes", "streams", "transports"},
    "pipes.py": {"_core"},
    "policy.py": {"loop", "streams"},
    "selectors.py": {"_core"},
    "streams.py": {"_core"},
    "transports.py": {"_core"},
    "transports.py": {"_core"},
}
NEVER_ASYNCIO = {"selectors.py"}


def imports(path: str, text: str) -> Iterator[Slip]:
    """kevent/*.py: the standard library, and a fixed order among themselves."""
    name = path.split("/")[-1]
    allowed = PACKAGE_IMPORTS.get(name, {"_core"})
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ("kevent." if node.level else "") + (node.module or "")
            base = base.rstrip(".")
            modules = ([f"{base}.{alias.name}" for alias in node.names]
                       if base == "kevent" else [base])
        else:
            continue
        for module in modules:
            top, _, rest = module.partition(".")
            if top == "kevent":
                part = rest.split(".")[0]
                is_part = part in {"_core", "__main__"} or (
                    part + ".py" in PACKAGE_IMPORTS)
                if (is_part and part not in allowed
                        or not is_part and "" not in allowed):
                    yield Slip(node.lineno, f"{name} imports {module}")
            elif top not in sys.stdlib_module_names:
                yield Slip(node.lineno, f"{name} imports {module}, which "
                                        f"Python does not ship")
            elif top == "asyncio" and name in NEVER_ASYNCIO:
                yield Slip(node.lineno, f"{name} imports asyncio")


# ---- words ----------------------------------------------------------------

# Written in pieces, so that this file does not find itself.
SLIPS = [
    (r"(?<![\w.])/(?:wo" r"rk|ro" r"ot|ho" r"me/\w+|tm" r"p/bash_jobs)(?:/|\b)",
     "a path of some machine"),
    (r"deb\.deb" r"ian\.org|py" r"pi\.org|files\.python" r"hosted\.org|"
     r"registry\.npm" r"js\.org|artifact-?" r"registry", "a registry's host"),
    (r"\.\./sha" r"red", "a path outside of the project"),
    (r"\b(?:XX" r"X|FIX" r"ME|TO" r"DO)\b", "an open end"),
]


def words(path: str, text: str) -> Iterator[Slip]:
    """Nothing of the machine that it was written on."""
    for pattern, what in SLIPS:
        for match in re.finditer(pattern, text):
            yield Slip(line_of(text, match.start()), f"{what}: {match[0]}")


# ---- which rule for which file --------------------------------------------

Rule = Callable[[str, str], Iterator[Slip]]

RULES: list[tuple[Rule, list[str], list[str]]] = [
    (layers, ["csrc/*.c", "csrc/*.h"], []),
    (system_calls, ["csrc/kev/*.c", "csrc/kev/*.h"],
     ["csrc/kev/sys.c", "csrc/kev/sys.h"]),
    (core_manners, ["csrc/kev/*.c", "csrc/kev/*.h"], []),
    (private_names, ["csrc/*.c", "csrc/*.h"], []),
    (type_specs, ["csrc/*.c"], []),
    (mutable_data, ["csrc/*.c"], []),
    (c_text, ["csrc/*.c", "csrc/*.h", "tests/core/*.c", "tests/core/*.h",
              "benchmarks/*.c"], []),
    (all_text, ["*"], []),
    (file_length, ["*.c", "*.h", "*.py", "*.mk", "Makefile"], []),
    (function_length, ["csrc/*.c", "tests/core/*.c", "benchmarks/*.c",
                       "kevent/*.py"], []),
    (imports, ["kevent/*.py"], []),
    (words, ["*"], [".ci/run"]),
]


def rules_for(path: str) -> list[Rule]:
    """The rules that look at this file."""
    return [rule for rule, wanted, spared in RULES
            if any(fnmatch(path, pattern) for pattern in wanted)
            and path not in spared]


def check(path: str, text: str) -> list[str]:
    """Every slip in the file, as lines "path:line: message (rule)"."""
    return [f"{path}:{slip.line}: {slip.message} ({rule.__name__})"
            for rule in rules_for(path) for slip in rule(path, text)]
