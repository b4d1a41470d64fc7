"""Programs that the tuner starts. Each has a limit of time, and none outlives its call: what a program started ends
with it."""
import contextlib
import errno
import json
import os
import queue
import shlex
import signal
import subprocess
import threading

LIMIT = 600  # seconds that a program may take where nothing else is said
GRACE = 2  # from the request to end to the order


class BuildError(Exception):
    output = ""  # of a runner that failed, its own words


class Outside(Exception):
    """What no candidate is to blame for: a full disk, a board that does not answer. It may be mended meanwhile."""


class DiskFull(Outside):
    pass


NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
FULL_WORDS = tuple(os.strerror(number) for number in NO_SPACE)


_running = set()


def end_all():
    """Of all threads."""
    for process in list(_running):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def started(command, **options):
    """A group of its own, so that all of it can be ended."""
    try:
        process = subprocess.Popen([str(part) for part in command], text=True, errors="replace", start_new_session=True,
                                   **options)
    except OSError as error:
        if error.errno in NO_SPACE:
            raise
        raise BuildError(f"{command[0]} does not start: {error.strerror}") from error
    _running.add(process)
    try:
        yield process
    finally:
        _end(process)
        _running.discard(process)


def _end(process):
    """Asks first: a runner then says what it was at."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None or number == signal.SIGKILL:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)


def run(command, timeout=LIMIT, input=None, **options):
    """The standard output of a program that succeeds. input: a text for its standard input."""
    pipes = {"stdin": subprocess.DEVNULL if input is None else subprocess.PIPE, "stdout": subprocess.PIPE,
             "stderr": subprocess.PIPE}
    with started(command, **(pipes | options)) as process:
        try:
            output, errors = process.communicate(input, timeout)
        except subprocess.TimeoutExpired as error:
            words = f"{shlex.join(map(str, command))}\ntook more than {timeout:.0f} s, and was ended"
            raise BuildError(words) from error
    if process.returncode:
        words = (errors or output or "").strip()
        raise BuildError(f"{shlex.join(map(str, command))}\n{how(process.returncode)}:\n{words[-2000:]}")
    return output


def how(code):
    """A program's end in words."""
    number = -code if code < 0 else code - 128 if code > 128 else 0
    try:
        return f"was ended by {signal.Signals(number).name}"
    except ValueError:
        return f"failed with {code}"


def brief(error):
    """Of a failure's words the first line, and the last, which is mostly the reason."""
    lines = [line for line in str(error).splitlines() if line.strip()] or ["no words"]
    return lines[0] if len(lines) == 1 else f"{lines[0][:160]} ... {lines[-1][:200]}"


def rows_of(command, what, cases, silence=LIMIT):
    """Runs a runner; returns its lines of JSON. It hangs if it says nothing for `silence` seconds."""
    command = [*command, *map(str, what)]
    # Files in memory: pipes that nobody reads fill, and a disk may be full.
    with os.fdopen(os.memfd_create("cases"), "w+") as rows, os.fdopen(os.memfd_create("errors"), "w+") as errors:
        rows.write("".join(f"{case}\n" for case in cases))
        rows.seek(0)
        lines, hangs = [], False
        with started(command, stdin=rows, stdout=subprocess.PIPE, stderr=errors) as process:
            said = queue.Queue()
            threading.Thread(target=_read, args=(process.stdout, said), daemon=True).start()
            try:
                while (line := said.get(timeout=silence)) is not None:
                    lines.append(line)
                process.wait(silence)
            except (queue.Empty, subprocess.TimeoutExpired):
                hangs = True
        errors.seek(0)
        words = errors.read().strip()
    if hangs or process.returncode:
        end = f"said nothing for {silence:.0f} s, and was ended" if hangs else how(process.returncode)
        error = BuildError(f"the runner {end}" + (f": {words[-2000:]}" if words else ""))
        error.output = words.removeprefix("runner: ")
        raise error
    try:
        return [json.loads(line) for line in lines]
    except json.JSONDecodeError as error:
        raise BuildError(f"the runner gave a line that is no JSON: {error.doc[:200]}") from error


def _read(pipe, said):
    with pipe, contextlib.suppress(OSError, ValueError):  # closed meanwhile
        for line in pipe:
            said.put(line)
    said.put(None)
