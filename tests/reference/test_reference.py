"""The pages of docs/reference: complete, true to the code, and their examples run."""
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import kevent

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "reference"
PAGES = sorted(FOLDER.glob("*.md"))
CALLS = [page for page in PAGES if page.stem.startswith("kevent_")]
HEADER = (ROOT / "csrc" / "kev" / "kevent.h").read_text()


def blocks(page, language):
    """The fenced blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.M | re.S)


def programs(language):
    """(page, program) of all examples."""
    found = []
    for page in PAGES:
        for code in blocks(page, language):
            if language == "python" or "main(void)" in code:
                found.append(pytest.param(code, id=page.stem))
    return found


@pytest.fixture(scope="session")
def core(tmp_path_factory):
    """An archive of the core, built by the first C compiler there is."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler here")
    folder = tmp_path_factory.mktemp("core")
    sources = sorted(map(str, (ROOT / "csrc" / "kev").glob("*.c")))
    subprocess.run([compiler, "-std=gnu11", "-O1", "-c", f"-I{ROOT / 'csrc'}", *sources],
                   check=True, cwd=folder, timeout=300)
    return [compiler, "-std=gnu11", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'csrc'}",
            *sorted(map(str, folder.glob("*.o"))), "-lpthread"]


@pytest.mark.parametrize("code", programs("c"))
def test_example_in_c(core, code, tmp_path):
    """It compiles without a warning, with kevent.h and the core alone, and ends well."""
    (tmp_path / "example.c").write_text(code)
    subprocess.run([core[0], "example.c", *core[1:], "-o", "example"], check=True,
                   cwd=tmp_path, timeout=120)
    subprocess.run([tmp_path / "example"], check=True, timeout=30)


@pytest.mark.parametrize("compiler, options", [
    ("cc", ["-x", "c", "-std=c11", "-pedantic"]), ("cc", ["-x", "c", "-std=gnu17"]),
    ("c++", ["-x", "c++", "-std=c++17"])])
def test_header_stands_alone(compiler, options, tmp_path):
    """kevent.h needs nothing before it, in C11, later, and C++, without a warning."""
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler} here")
    (tmp_path / "x").write_text('#include "kev/kevent.h"\nint main(void)'
                                "{ return kevent_features() == 0; }\n")
    subprocess.run([compiler, *options, "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'csrc'}",
                    "-c", "x", "-o", "x.o"], check=True, cwd=tmp_path, timeout=60)


@pytest.mark.parametrize("code", programs("python"))
def test_example_in_python(code):
    """It runs, and warns of nothing."""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("page", [page for page in PAGES if page.stem != "README"],
                         ids=lambda page: page.stem)
def test_page_is_whole(page):
    """Each page has its parts, in order, and stands in the index."""
    parts = re.findall(r"^## (.*)$", page.read_text(), re.M)
    wanted = (["Example"] if page.stem == "events" else
              ["Synopsis", "Description", "Return value", "Errors", "Example"])
    assert parts == wanted
    assert f"]({page.name})" in (FOLDER / "README.md").read_text()


def test_each_call_has_its_page():
    """In C and in Python: no call without a page, no page without a call."""
    in_c = set(re.findall(r"^\w[\w ]*\*?(kevent_\w+)\(", HEADER, re.M))
    in_python = {name for name in kevent.__all__ if name.startswith("kevent_")}
    assert {page.stem for page in CALLS} == in_c | in_python


@pytest.mark.parametrize("page", CALLS, ids=lambda page: page.stem)
def test_synopsis_is_the_codes(page):
    """The prototype is that of kevent.h, the signature that of the function."""
    squeeze = lambda text: re.sub(r"\s+", " ", text)  # noqa: E731
    for code in blocks(page, "c"):
        if re.match(r"(int|void|uint64_t) kevent_", code):
            assert squeeze(code).strip() in squeeze(HEADER)
    for signature in blocks(page, "python-signature"):
        name, _, arguments = signature.partition("(")
        function = kevent
        for part in name.split("."):
            function = getattr(function, "Queue" if part == "Queue" else part)
        parameters = [p for p in inspect.signature(function).parameters.values()
                      if p.name not in ("self", "module")]
        shown = ", ".join(p.name if p.default is p.empty else f"{p.name}={p.default}"
                          for p in parameters)
        assert shown == arguments.partition(")")[0]


def test_constants_are_the_codes():
    """Every KEVENT_ name on the pages is one, in C or in Python."""
    known = set(re.findall(r"KEVENT_\w+", HEADER)) | set(dir(kevent))
    for page in PAGES:
        for name in re.findall(r"\bKEVENT_[A-Z0-9_]+\b(?!\*)", page.read_text()):
            assert name in known or any(k.startswith(name) for k in known), (page.name, name)
