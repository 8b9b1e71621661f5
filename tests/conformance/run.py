"""Run test modules in worker processes, on the stdlib and on the loop under test.

A worker runs a whole module. If it crashes or hangs in a test, that test is
recorded so and a new worker goes on behind it. Tests that pass on the stdlib
and not on ours are tried again, on their own and on both sides, before anybody
calls them a regression (`retry`).
"""
from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "build" / "conformance"
DEATHS_MAX = 6       # of one module, then the rest of it counts as not run
RETRIES_MAX = 60     # more suspects than this and the loop is simply broken
GRACE_SECONDS = 20   # for a worker that even its own watchdog cannot end
DEADLY = ("crash", "hang")

# Where the time goes, in seconds: the longest are started first.
WEIGHTS = {"test_ssl": 10, "test_subprocess": 17, "test_tasks": 17,
           "test_events": 7, "test_taskgroups": 6, "test_sslproto": 5}
# --quick: what talks to the loop most, and none of the slow ones.
QUICK = ("test_base_events", "test_buffered_proto", "test_context",
         "test_events", "test_runners", "test_sendfile", "test_server",
         "test_server_context", "test_sock_lowlevel", "test_streams",
         "test_timeouts", "test_unix_events", "test_selectors")


@dataclass
class Side:
    """The stdlib's (no bindings) or the one under test."""
    name: str
    loop: str | None = None
    selector: str | None = None

    def binding(self, module: str) -> str | None:
        return self.selector if module == "test_selectors" else self.loop


@dataclass
class Record:
    """What one test did on one side; `made` counts loops under test."""
    outcome: str
    detail: str = ""
    seconds: float = 0.0
    made: int = 0
    strays: int = 0

    @property
    def passed(self) -> bool:
        return self.outcome in ("pass", "xfail")


@dataclass
class Options:
    jobs: int = 2
    timeout: float = 60.0  # seconds, a test
    pattern: str | None = None
    cache: bool = True


@dataclass
class Outcome:
    """What one worker left behind."""
    plan: list[str] = field(default_factory=list)
    records: dict[str, Record] = field(default_factory=dict)
    running: str | None = None      # the test that it died in
    whole: Record | None = None     # the module could not be imported
    death: Record | None = None


def test_package() -> Path | None:
    """The directory of test.test_asyncio, if this interpreter has one."""
    try:
        spec = importlib.util.find_spec("test.test_asyncio")
    except ImportError:
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


def modules_of(package: Path) -> list[str]:
    return sorted(path.stem for path in package.glob("test_*.py")
                  if "windows" not in path.stem)


class Runner:
    def __init__(self, options: Options, scratch: str) -> None:
        self.options = options
        self._scratch = scratch
        self.progress = lambda text: None

    def list(self, side: Side, module: str) -> list[str]:
        return self._work(side, module, only=None, skip=(), listing=True).plan

    def module(self, side: Side, module: str, only=None) -> dict[str, Record]:
        """Every test of `module` (or those in `only`) on `side`."""
        records: dict[str, Record] = {}
        plan: list[str] = []
        deaths = 0
        while deaths < DEATHS_MAX:
            worker = self._work(side, module, only, skip=tuple(records))
            records.update(worker.records)
            plan += worker.plan
            if worker.whole is not None:
                records[f"{module}.(import)"] = worker.whole
            if worker.death is None:
                break
            deaths += 1
            if worker.running is None:
                # After its last test: the interpreter's end is a test too.
                records[f"{module}.(exit)"] = worker.death
                break
            records[worker.running] = worker.death
        for name in plan:
            records.setdefault(name, Record("missing", "the test was not run"))
        return records

    def alone(self, side: Side, name: str) -> Record:
        """One test in a process of its own; what is no test but a part of
        its module's run, "test_x.(exit)", with its module."""
        module = name.partition(".")[0]
        if name.endswith(")"):
            return self.module(side, module).get(name, Record("pass"))
        records = self.module(side, module, only=[name])
        return records.get(name) or Record("missing", "not there alone")

    def _work(self, side, module, only, skip, listing=False) -> Outcome:
        with tempfile.TemporaryDirectory(
                dir=self._scratch, ignore_cleanup_errors=True) as place:
            results = os.path.join(place, "results")
            log = os.path.join(place, "log")
            cwd = os.path.join(place, "cwd")
            os.mkdir(cwd)
            order = {"module": module, "binding": side.binding(module),
                     "only": only, "skip": list(skip), "list": listing,
                     "pattern": self.options.pattern, "results": results,
                     "timeout": self.options.timeout}
            status = self._spawn(json.dumps(order), cwd, log, results)
            return self._read(results, log, status)

    def _spawn(self, order: str, cwd: str, log: str, results: str) -> int:
        """Run a worker to its end, and end what it leaves running."""
        boot = (f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
                "from tests.conformance.worker import main; main(sys.argv[1])")
        with open(log, "wb") as output, open(results, "wb"):
            process = subprocess.Popen(
                [sys.executable, "-c", boot, order], cwd=cwd,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env={**os.environ, "TMPDIR": cwd}, start_new_session=True)
        try:
            while True:
                try:
                    return process.wait(timeout=2)
                except subprocess.TimeoutExpired:
                    silence = time.time() - os.stat(results).st_mtime
                    if silence > self.options.timeout + GRACE_SECONDS:
                        process.kill()
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()

    def _read(self, results: str, log: str, status: int) -> Outcome:
        worker = Outcome()
        for text in Path(results).read_text("utf-8").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue  # cut off by the death of its writer
            if "plan" in line:
                worker.plan = line["plan"]
            elif "start" in line:
                worker.running = line["start"]
            elif "whole" in line:
                worker.whole = Record(line["whole"], line["detail"])
            else:
                name = line.pop("id")
                worker.records[name] = Record(**line)
        if worker.running in worker.records:
            worker.running = None
        if status != 0:
            tail = Path(log).read_text("utf-8", "replace")[-6000:]
            hang = "Timeout (" in tail or status == -signal.SIGKILL
            reason = (signal.Signals(-status).name if status < 0
                      else f"exit status {status}")
            worker.death = Record("hang" if hang else "crash",
                                  f"{tail}\n{reason}")
        return worker

    def both(self, stdlib: Side, ours: Side, modules: list[str]):
        """All modules on both sides: two dicts of records by test id."""
        cache = Cache(self.options, modules)
        jobs = sorted(((side, module) for module in modules
                       for side in (stdlib, ours)),
                      key=lambda job: -WEIGHTS.get(job[1], 1))

        def work(job):
            side, module = job
            records = cache.get(module) if side is stdlib else None
            if records is None:
                began = time.perf_counter()
                records = self.module(side, module)
                self.progress(f"{side.name:8} {module:26} {len(records):4} "
                              f"tests {time.perf_counter() - began:5.1f} s")
                if side is stdlib:
                    cache.put(module, records)
            return side, records

        found: tuple[dict, dict] = ({}, {})
        with ThreadPoolExecutor(self.options.jobs) as pool:
            for side, records in pool.map(work, jobs):
                found[0 if side is stdlib else 1].update(records)
        cache.save()
        return found


class Cache:
    """The stdlib's results, kept while interpreter, tests and harness stay.

    A run with a pattern neither reads nor writes it.
    """

    def __init__(self, options: Options, modules: list[str]) -> None:
        self._on = options.cache and not options.pattern
        self._modules: dict[str, dict] = {}
        self._dirty = False
        digest = hashlib.sha256(
            f"{sys.version} {sys.executable} {options.timeout} "
            f"{os.environ.get('PYTHONASYNCIODEBUG')}".encode())
        package = test_package()
        sources = [*sorted(package.glob("*.py")),
                   package.parent / "test_selectors.py",
                   *(Path(__file__).with_name(name + ".py")
                     for name in ("bind", "run", "worker"))]
        for path in sources:
            digest.update(path.read_bytes())
        self._path = CACHE / f"stdlib-{digest.hexdigest()[:16]}.json"
        if self._on and self._path.exists():
            self._modules = json.loads(self._path.read_text())

    def get(self, module: str) -> dict[str, Record] | None:
        records = self._modules.get(module)
        if not self._on or records is None:
            return None
        return {name: Record(**record) for name, record in records.items()}

    def put(self, module: str, records: dict[str, Record]) -> None:
        self._modules[module] = {
            name: asdict(record) for name, record in records.items()}
        self._dirty = True

    def save(self) -> None:
        if self._on and self._dirty:
            CACHE.mkdir(parents=True, exist_ok=True)
            partial = self._path.with_suffix(f".{os.getpid()}")
            partial.write_text(json.dumps(self._modules))
            partial.replace(self._path)


def retry(runner: Runner, stdlib: Side, ours: Side, before: dict, after: dict,
          suspects: list[str]) -> dict[str, str]:
    """Try the suspects again; returns {id: verdict}.

    regression  ours does not pass, the stdlib does
    both        the stdlib does not pass either
    flaky       on the stdlib it sometimes passes and sometimes not
    unstable    ours failed once, and passed alone and in a second run of its
                whole module
    A crash or a hang of ours is never called unstable.
    """
    if len(suspects) > RETRIES_MAX:
        return {name: "regression" if before[name].passed else "both"
                for name in suspects}

    def judge(name: str) -> str:
        again = runner.alone(ours, name)
        if again.passed and after[name].outcome not in DEADLY:
            return "unstable" if before[name].passed else "flaky"
        passes = [before[name].passed, runner.alone(stdlib, name).passed]
        if passes == [True, True]:
            return "regression"
        if runner.alone(stdlib, name).passed:
            passes.append(True)
        return "flaky" if any(passes) else "both"

    with ThreadPoolExecutor(runner.options.jobs) as pool:
        verdicts = dict(zip(suspects, pool.map(judge, suspects)))
        doubtful = sorted({name.partition(".")[0] for name, verdict
                           in verdicts.items() if verdict == "unstable"})
        for records in pool.map(
                lambda module: runner.module(ours, module), doubtful):
            for name in records.keys() & verdicts.keys():
                if verdicts[name] == "unstable" and not records[name].passed:
                    verdicts[name] = "regression"  # only in company, but always
    return verdicts
