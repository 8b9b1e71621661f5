"""What the built extension keeps in static data that can be written.

    python tests/tidy/statics.py kevent/_core.*.so csrc/*/*.c

Such data is one for all modules, interpreters and threads: an object in it
belongs to whoever came first, and the others touch it without a lock.  So there
is none but the tables that the C API wants, which nobody writes to, and what is
the process's own.  The tables are known by the type with which the source
defines them, the rest and what the linker puts there by itself by name.
Constants do not count, nor do those with addresses in them, which are read-only
as soon as the file is loaded.  (rules.py looks for the same in the source, line
by line, and says where it is; a struct of several lines it does not see.)
"""
from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

# Types of the C API, and why a table of them is not const.
TABLES = {
    "PyModuleDef": "CPython counts it and numbers it when the module is made",
    "PyModuleDef_Slot": "PyModuleDef points to it without const",
    "PyType_Spec": "PyType_FromModuleAndSpec() takes it without const",
    "PyType_Slot": "PyType_Spec points to it without const",
    "PyMethodDef": "a method points to it without const",
    "PyMemberDef": "a descriptor points to it without const",
    "PyGetSetDef": "a descriptor points to it without const",
    "PyStructSequence_Desc": "PyStructSequence_NewType() takes it without const",
    "PyStructSequence_Field": "PyStructSequence_Desc points to it without const",
    "char *[]": "PyArg_ParseTupleAndKeywords() takes the names without const",
}
# What is the process's own, by file and name; no object, and changed atomically.
OF_THE_PROCESS = {
    ("csrc/kev/sys.c", "process_word"): "the page by which a child of fork() is told",
    ("csrc/kev/sys.c", "numbers_given"): "a child's number is none of its ancestors'",
}
# Of the start files of the C compiler.
LINKERS = {"completed", "__dso_handle", "__TMC_END__"}
# Read-only once the file is loaded, or the dynamic linker's own.
NOT_OURS = {".data.rel.ro", ".dynamic", ".got", ".got.plt", ".init_array", ".fini_array"}

TABLE = re.compile(
    r"^\s*(?:static )?(?:(?:struct )?(?:" + "|".join(filter(str.isidentifier, TABLES))
    + r") (\w+)(?:\[\])?|char \*(\w+)\[\]) = \{", re.M)


def readelf(option: str, path: str) -> list[list[str]]:
    done = subprocess.run(["readelf", "-W", option, path], check=True,
                          capture_output=True, text=True)
    return [line.replace("[ ", "[").split() for line in done.stdout.splitlines()]


def writable(path: str) -> Counter[str]:
    """How often each name stands for data that can be written, in that file."""
    sections = set()
    for words in readelf("--sections", path):
        # [Nr] Name Type Address Off Size ES Flg Lk Inf Al
        if len(words) == 11 and re.fullmatch(r"\[\d+\]", words[0]) \
                and "W" in words[7] and words[1] not in NOT_OURS:
            sections.add(words[0][1:-1])
    found: Counter[str] = Counter()
    whole = False
    for words in readelf("--symbols", path):
        if words[:2] == ["Symbol", "table"]:
            whole = words[2] == "'.symtab'"     # not the excerpt for the linker
        # Num: Value Size Type Bind Vis Ndx Name
        elif whole and len(words) == 8 and words[3] in ("OBJECT", "TLS", "COMMON") \
                and words[6] in sections | {"COM"}:
            # The compiler numbers what is static in a function, and the linker
            # says which of several files it is of, if it optimizes them as one.
            found[re.sub(r"(\.lto_priv|\.\d+)+$", "", words[7])] += 1
    return found


def tables(sources: list[str]) -> Counter[str]:
    """How often the sources define a table of that name."""
    return Counter(match[1] or match[2] for path in sources
                   for match in TABLE.finditer(Path(path).read_text()))


def slips(path: str, sources: list[str]) -> list[str]:
    """Names that stand for more writable data than the tables of that name."""
    found = writable(path)
    known = tables(sources)
    if not found & known:
        return [f"{path} has no table that is known: was it stripped?"]
    known.update(name for _, name in OF_THE_PROCESS)
    return sorted(name for name, times in found.items()
                  if name not in LINKERS and times > known[name])


if __name__ == "__main__":
    named = slips(sys.argv[1], sys.argv[2:])
    for name in named:
        print(f"static, and can be written: {name}")
    print(f"static data: 1 {'failed' if named else 'passed'}")
    sys.exit(bool(named))
