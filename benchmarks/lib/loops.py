"""Event loops, named as [NAME=]MODULE:FACTORY[@PYTHON]."""
from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field

from .native import HERE

KNOWN = {
    "asyncio": "asyncio:SelectorEventLoop",
    "uvloop": "uvloop:new_event_loop",
    "kevent": "kevent:new_event_loop",
}
DEFAULT = ("asyncio", "uvloop", "kevent")


@dataclass(frozen=True)
class Loop:
    """A loop to measure: what it is called here, its factory, its interpreter."""

    name: str
    factory: str
    python: str = field(default=sys.executable)

    @classmethod
    def parse(cls, text: str) -> Loop:
        """Read a name of KNOWN or [NAME=]MODULE:FACTORY[@PYTHON].

        Raises ValueError when it is neither.
        """
        spec, _, python = text.partition("@")
        name, equals, factory = spec.partition("=")
        if not equals:
            factory = KNOWN.get(spec, spec)
            name = spec if spec in KNOWN else spec.partition(":")[0]
        if ":" not in factory:
            raise ValueError(f"a loop is {', '.join(KNOWN)} or MODULE:FACTORY, not {text!r}")
        return cls(name, factory, python or sys.executable)

    def probe(self, *modules: str) -> Probe:
        """Try the loop and import the modules in a process of their own."""
        command = [self.python, "-m", "benchmarks.servers.probe", self.factory, *modules]
        try:
            done = subprocess.run(command, cwd=HERE.parent, capture_output=True,
                                  text=True, timeout=60)
            return Probe(**json.loads(done.stdout))
        except (OSError, subprocess.TimeoutExpired) as error:
            return Probe(reason=str(error))
        except ValueError:
            return Probe(reason=(done.stderr.strip().splitlines() or ["it died"])[-1])


@dataclass(frozen=True)
class Probe:
    """What a loop's interpreter says; `reason` tells why it cannot be used."""

    reason: str | None = None
    python: str = ""
    versions: dict[str, str] = field(default_factory=dict)


def parse_all(text: str) -> list[Loop]:
    """Read loops divided by commas; their names have to differ."""
    loops = [Loop.parse(part.strip()) for part in text.split(",") if part.strip()]
    if not loops or len({loop.name for loop in loops}) != len(loops):
        raise ValueError(f"no loops, or two of one name, in {text!r}")
    return loops


@dataclass
class Lineup:
    """The loops that run, and those that do not with the reasons."""

    running: list[Loop]
    missing: dict[str, str]
    versions: dict[str, str]

    @classmethod
    def of(cls, loops: list[Loop], *modules: str) -> Lineup:
        """Probe each loop."""
        lineup = cls([], {}, {})
        for loop in loops:
            probe = loop.probe(*modules)
            if probe.reason is None:
                lineup.running.append(loop)
                lineup.versions.update(probe.versions, python=probe.python)
            else:
                lineup.missing[loop.name] = probe.reason
        return lineup

    def complaints(self) -> list[str]:
        """One plain line for each loop that is left out."""
        return [f"{name} is not measured: {reason}" for name, reason in self.missing.items()]
