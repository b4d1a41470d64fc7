"""Runs the parts of a step, within a limit, each in a process group of its own."""
import contextlib
import ctypes
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field

from bench.rows import ROOT

POLL, REFRESH, SAY = 0.1, 5, 15  # seconds
LAST_LINES = 12
PASSED, FAILED, CUT_OFF, SKIPPED, RUNNING = "passed", "failed", "cut off", "skipped", "running"
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


@dataclass
class Result:
    """Of a step or, without results of its own, of a part."""

    status: str
    why: str = ""
    seconds: float = 0
    parts: dict = field(default_factory=dict)


def _end_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class _Process:
    def __init__(self, part, log):
        self.part, self.log, self.started = part, log, time.monotonic()
        with open(log, "wb") as output:
            # Its output by lines: what there was stays, whatever ends it.
            self.process = subprocess.Popen(
                part.command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)} | part.environment,
                start_new_session=True, preexec_fn=_end_with_parent)

    def end(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):  # a process that a driver holds goes when it can
            self.process.wait(5)

    def output(self):
        return self.log.read_text(errors="replace")

    def result(self, status=None):
        seconds, code = time.monotonic() - self.started, self.process.poll()
        if status:
            return Result(status, f"it did not end within {seconds:.0f} s", seconds)
        if code == 0 and self.part.must_say in self.output():
            return Result(PASSED, "", seconds)
        if code < 0:
            return Result(FAILED, f"it was ended by {signal.Signals(-code).name}", seconds)
        what = f"exit status {code}" if code else f"it did not say '{self.part.must_say}'"
        return Result(FAILED, what, seconds)


def last_lines(log):
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()] if log.exists() else []
    return lines[-LAST_LINES:]


def log_of(out, step, part):
    return out / "logs" / f"{step.name}-{part.replace(' ', '-').replace('/', '-')}.log"


def run_step(step, out, limit, changed, say):
    """The step's Result. changed(result): called with what there is so far, now and then."""
    (out / "logs").mkdir(exist_ok=True)
    started = refreshed = said = time.monotonic()
    waiting, running = dict(step.parts), {}
    result = Result(RUNNING)
    changed(result)
    while waiting or running:
        while waiting and len(running) < step.together:
            name = next(iter(waiting))
            try:
                running[name] = _Process(waiting.pop(name), log_of(out, step, name))
            except OSError as error:
                result.parts[name] = Result(FAILED, f"it does not start: {error}")
        time.sleep(POLL)
        now = time.monotonic()
        result.seconds = now - started
        late = now - started > limit
        for name, process in list(running.items()):
            if late or process.process.poll() is not None:
                ended = process.result(CUT_OFF if process.process.poll() is None else None)
                process.end()  # with whatever it has started
                result.parts[name] = ended
                del running[name]
        if late:
            for name in waiting:
                result.parts[name] = Result(CUT_OFF, "it was not started: the time was over")
            waiting = {}
        if now - refreshed > REFRESH:
            refreshed = now
            changed(result)
        if now - said > SAY:
            said = now
            say(f"{step.name}: {now - started:.0f} s of {limit:.0f}, {len(result.parts)} of {len(step.parts)} done")
    statuses = [part.status for part in result.parts.values()]
    result.status = next((status for status in (FAILED, CUT_OFF) if status in statuses), PASSED)
    result.why = "; ".join(f"{name}: {part.why}" for name, part in result.parts.items() if part.why)
    changed(result)
    return result
