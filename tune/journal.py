"""The journal of a target, which a search that was stopped goes on from: all trials and failures, on disk at once."""
import errno
import fcntl
import json
import os

import optuna
from optuna.storages.journal import JournalFileBackend


class Busy(ValueError):
    pass


class _NoLock:
    """The folder's lock keeps other tuners out."""

    def acquire(self):
        return True

    def release(self):
        pass


class _Backend(JournalFileBackend):
    """A line is whole or not there, and a full disk is waited for."""

    def __init__(self, path, patiently):
        super().__init__(str(path), _NoLock())
        self.path, self.patiently = path, patiently

    def append_logs(self, logs):
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        self.patiently(lambda: self._append(text.encode()))

    def _append(self, text):
        """Not forced to the disk, which would take more time than all else here: a loss of power may take the last
        lines."""
        size = self.path.stat().st_size
        try:
            with open(self.path, "ab", 0) as file:
                if file.write(text) < len(text):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        except OSError:
            os.truncate(self.path, size)
            raise


def lock(folder):
    """Held until the process ends. Another tuner of the target would take away programs and lines of the journal."""
    folder.mkdir(parents=True, exist_ok=True)
    file = open(folder / "lock", "a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        raise Busy(f"{folder.name} is being tuned by process {file.read().strip() or '?'}: wait for it, or stop "
                   "it") from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def _mend(path, warn):
    """A tuner that was killed while it wrote leaves half a line; what stands before it is sound."""
    sound = 0
    with open(path, "rb") as file:
        for line in file:
            try:
                json.loads(line)
            except ValueError:
                break
            if not line.endswith(b"\n"):
                break
            sound += len(line)
    lost = path.stat().st_size - sound
    if lost:
        warn(f"{path.name} has {lost} bytes that are no journal, from byte {sound} on: they are left out, "
             f"and kept in {path.name}.broken")
        with open(path, "rb") as file, open(f"{path}.broken", "wb") as broken:
            file.seek(sound)
            broken.write(file.read())
        os.truncate(path, sound)


def open_storage(path, patiently, warn):
    """patiently(action): does what a full disk may hinder, as often as it takes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        patiently(lambda: _mend(path, warn))
    return optuna.storages.JournalStorage(_Backend(path, patiently))


class Failures:
    """Points that do not compile, crash, hang or change bits, {slot and values: why}: a fault of theirs, whatever they
    are compared with. They are not proposed again."""

    def __init__(self, storage, conditions):
        self.study = optuna.create_study(storage=storage, study_name=f"failures {conditions}", load_if_exists=True)
        self.why = dict(self.study.user_attrs)
        self.new = []  # of this run, (slot, point, why)

    @staticmethod
    def _name(slot, point):
        return f"{slot} {json.dumps(point, sort_keys=True)}"

    def add(self, slot, point, why):
        if self._name(slot, point) not in self.why:
            self.why[self._name(slot, point)] = why
            self.new.append((slot, point, why))
            self.study.set_user_attr(self._name(slot, point), why[-500:])

    def of(self, slot, point):
        return self.why.get(self._name(slot, point))
