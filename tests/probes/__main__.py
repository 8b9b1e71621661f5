"""Runs the probes and writes the table."""
import asyncio
import functools
import importlib.util
import signal
import subprocess
import sys
from pathlib import Path

from .probes import PROBES

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "behaviour.md"
LOOPS = ("asyncio", "uvloop", "kevent")
LIMIT_S = 30

HEAD = """\
# Behaviour

What each loop does, found out by doing it: `make probes` runs every line in a
process of its own (`tests/probes/probes.py`) and writes this page. The last run:
{what}. "–" is what that Python does not have.

| | asyncio | uvloop | kevent |
|---|---|---|---|
"""


def factory_of(name):
    """The loop's factory; it knows its name."""
    if name == "asyncio":
        factory = asyncio.SelectorEventLoop
    elif name == "uvloop":
        from uvloop import new_event_loop as factory
    else:
        from kevent import new_event_loop as factory
    made = functools.partial(factory)
    made.probed = name
    return made


def here(probe, loop):
    """Runs one probe in this process; its answer is the last line printed."""
    import faulthandler                # not for a sub-interpreter

    faulthandler.dump_traceback_later(LIMIT_S - 5, exit=True)
    try:
        answer = PROBES[probe](factory_of(loop)) or "yes"
    except BaseException as exc:
        said = str(exc).split("\n")[0].replace("|", "/")[:50]
        answer = f"no: {type(exc).__name__}" + f" ({said})" * bool(said)
    print(answer)


def ask(probe, loop):
    """The answer of a process of its own."""
    if sys.version_info < PROBES[probe].since:
        return "–"
    if not importlib.util.find_spec(loop):
        return "–"
    try:
        finished = subprocess.run(
            [sys.executable, "-m", "tests.probes", probe, loop], cwd=ROOT,
            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return "hangs"
    if finished.returncode < 0:
        return f"**dies**: {signal.Signals(-finished.returncode).name}"
    lines = finished.stdout.splitlines()
    return lines[-1] if lines and finished.returncode == 0 else "hangs"


def failed(answer):
    """Is that answer a failure?"""
    return answer.startswith(("no", "hangs", "**dies**"))


def versions():
    """Which Python and which loops answered."""
    said = ["CPython " + ".".join(map(str, sys.version_info[:3]))]
    if importlib.util.find_spec("uvloop"):
        import uvloop
        said.append(f"uvloop {uvloop.__version__}")
    return ", ".join(said)


def column(text, number=3):
    """{title: answer} of one loop in a page."""
    rows = [line.strip("|").split("|") for line in text.splitlines()
            if line.startswith("| ") and "---" not in line]
    return {row[0].strip(): row[number].strip() for row in rows[1:]}


def main():
    if sys.argv[1:]:
        here(*sys.argv[1:])
        return
    text = HEAD.format(what=versions())
    wrong = []
    for name, probe in PROBES.items():
        answers = [ask(name, loop) for loop in LOOPS]
        text += f"| {probe.title} | {' | '.join(answers)} |\n"
        print(f"{name:20}", *[f"{answer:34.34}" for answer in answers])
        if failed(answers[-1]):
            wrong.append(name)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text)
    print(f"{PAGE.relative_to(ROOT)}: {len(PROBES)} lines; kevent fails in "
          f"{len(wrong)} {' '.join(wrong)}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
