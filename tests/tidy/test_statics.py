"""What is static and can be written is noticed; tables and constants are let through."""
import subprocess

import pytest

import statics

SOURCE = """\
typedef struct { const char *name; } PyMethodDef;
struct PyModuleDef { const char *name; };
typedef struct object PyObject;

static PyMethodDef thing_methods[] = {{"a"}, {0}};
struct PyModuleDef Thing_Def = {"thing"};
static const int numbers[] = {1, 2, 3};
static const char *const words[] = {"one", "two"};

void take(void *, ...);

void
use(PyObject *object)
{
    static char *names[] = {"a", "b"};
    take(thing_methods, &Thing_Def, numbers, words, names);
    %s
}
"""


def slips_of(tmp_path, planted, *options):
    source, library = tmp_path / "thing.c", tmp_path / "thing.so"
    source.write_text(SOURCE % planted)
    subprocess.run(["cc", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", *options,
                    str(source), "-o", str(library)], check=True)
    return statics.slips(str(library), [str(source)])


def test_tables_and_constants(tmp_path):
    """What the C API wants, constants and pointers to them are no slips."""
    assert slips_of(tmp_path, "") == []


@pytest.mark.parametrize("planted", [
    "static PyObject *kept; if (!kept) kept = object; take(kept);",
    "static _Thread_local PyObject *kept; if (!kept) kept = object; take(kept);",
    "static struct { long n; PyObject *o; } kept = {1, 0}; take(&kept);",
    "static long kept = 1; take(object, kept++);",
    "static PyObject *kept[4]; take(kept);",
])
def test_planted(tmp_path, planted):
    """An object, a struct, a counter or an array that is static is named."""
    assert slips_of(tmp_path, planted) == ["kept"]


def test_the_name_of_a_table_is_no_pass(tmp_path):
    """A second one of a name that is known is noticed as well."""
    assert slips_of(tmp_path, "{ static PyObject *names; take(&names); }") == ["names"]


def test_stripped(tmp_path):
    """A file in which nothing can be seen does not pass."""
    assert "stripped" in slips_of(tmp_path, "", "-s")[0]


@pytest.mark.parametrize("planted, expected", [
    ("", []),
    ("static PyObject *kept; if (!kept) kept = object; take(kept);", ["kept"]),
])
def test_files_that_are_optimized_as_one(tmp_path, planted, expected):
    """Names that several files have, and the linker tells apart, are known again."""
    sources = []
    for name in ("one", "other"):
        sources.append(str(tmp_path / f"{name}.c"))
        (tmp_path / f"{name}.c").write_text(
            (SOURCE % planted).replace("use(", f"use_{name}(").replace("Thing_Def", f"{name}_def"))
    library = str(tmp_path / "both.so")
    subprocess.run(["cc", "-O2", "-fPIC", "-shared", "-flto=auto", *sources, "-o", library],
                   check=True)
    assert statics.slips(library, sources) == expected
