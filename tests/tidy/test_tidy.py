"""The tree keeps the rules of rules.py, file by file."""
import re
import subprocess
from pathlib import Path

import pytest

import rules

ROOT = Path(__file__).parents[2]
OURS = ("csrc", "kevent", "tests", "benchmarks", "docs", ".ci")


def source_files():
    """Text files of the project: what git knows or would add, or a walk."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others",
             "--exclude-standard"], cwd=ROOT, check=True,
            capture_output=True).stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        listed = [str(path.relative_to(ROOT))
                  for folder in OURS for path in (ROOT / folder).rglob("*")]
        listed += [path.name for path in ROOT.iterdir()
                   if path.suffix in (".md", ".py", ".toml", ".in")
                   or path.name in ("Makefile", "LICENSE")]
    wanted = (".c", ".h", ".py", ".pyi", ".md", ".mk", ".toml", ".txt", ".in",
              "")
    return sorted(name for name in listed if name
                  and Path(name).suffix in wanted
                  and (ROOT / name).is_file())


@pytest.mark.parametrize("name", source_files())
def test_file(name):
    """The file has no slip."""
    try:
        text = (ROOT / name).read_text()
    except UnicodeDecodeError:
        pytest.fail(f"{name} is no UTF-8 text")
    slips = rules.check(name, text)
    assert not slips, "\n".join(["", *slips])


def test_the_layers_are_there():
    """The rules look at something: each layer has files."""
    names = source_files()
    for layer in ("csrc/kev/", "csrc/mod/", "csrc/aio/", "kevent/"):
        assert any(name.startswith(layer) for name in names), layer


def test_differences_name_tests_that_exist():
    """Every test that DIFFERENCES.md refers to is there, in that file."""
    text = (ROOT / "DIFFERENCES.md").read_text()
    named = re.findall(r"`(?:(tests/\w+/\w+\.py)|(test_\w+\.c))`\s+(\w+)", text)
    assert len(named) > 30
    for python, c, test in named:
        source = (ROOT / (python or f"tests/core/{c}")).read_text()
        assert f"def {test}(" in source or f"TEST({test})" in source, test


def test_each_call_and_each_type_has_its_tests():
    """A file of its own in C and in Python; where a call and a type have one name, the
    call's has the whole name."""
    text = (ROOT / "csrc/kev/kevent.h").read_text()
    calls = set(re.findall(r"^\w[\w *]*\b(kevent_\w+)\(", text, re.M)) | {"kevent_init"}
    types = re.search(r"/\* event types \*/(.*?)}", text, re.S)[1]
    types = set(re.findall(r"\bKEVENT_(\w+) =", types)) - {"MAX"}
    assert len(calls) == 12 and len(types) == 11
    # NAIO answers what AIO answers.
    names = {kind.lower() for kind in types - {"NAIO"}}
    wanted = {f"{folder}/test_{name}" for name in names for folder in ("core", "kevent")}
    for call in calls:
        short = call.removeprefix("kevent_")
        wanted |= {f"core/test_{call if short in names else short}", f"kevent/test_{call}"}
    missing = {name for name in wanted if not (
        ROOT / "tests" / (name + (".c" if name.startswith("core/") else ".py"))).is_file()}
    assert missing == set()


def test_map_names_files_that_exist():
    """Every file that ARCHITECTURE.md refers to is there."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    named = re.findall(r"`((?:csrc|kevent|tests)/[\w./*]+)`", text)
    assert len(named) > 20
    for name in named:
        assert list(ROOT.glob(name)), name
