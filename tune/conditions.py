"""The state of the machine that is measured: what makes its clock move, and who else works there. Looked at before a
run begins, said, and recorded with the values."""
import os
import time
from pathlib import Path

from .build import CONNECTION
from .process import BuildError, run

GOVERNORS = "/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
BOOST = ("/sys/devices/system/cpu/cpufreq/boost", "/sys/devices/system/cpu/intel_pstate/no_turbo")
LOOK = 1.0  # seconds for the shares of time
BUSY, STOLEN = 0.05, 0.02  # shares of all processors' time from which on figures suffer


class Conditions:
    """runner: the command before programs of a remote machine; [] here."""

    def __init__(self, runner=()):
        self.runner = list(runner)
        self.first = self._times()
        names = None if self.runner else _seconds_of_processes()
        time.sleep(LOOK)
        self.others, self.stolen = self._shares(self.first)
        self.names = _busiest(names) if names is not None else []
        files = self._read(GOVERNORS, *BOOST, "/proc/loadavg")
        self.governors = sorted({text for name, text in files.items() if name.endswith("scaling_governor")})
        self.boost = _boost(files)
        self.load = float(files.get("/proc/loadavg", "nan").split()[0])

    def _read(self, *paths):
        """{path: its first line} of those that can be read, here or there."""
        try:
            shell = [*self.runner] if self.runner else ["sh", "-c"]
            lines = run([*shell, f"grep -Hsm1 '' {' '.join(paths)}; true"], CONNECTION).splitlines()
        except BuildError:
            return {}
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def _times(self):
        """Jiffies of all processors: (busy, stolen by the host, all), and those of this process and what it ran."""
        words = self._read("/proc/stat").get("/proc/stat", "cpu").split()[1:]
        ticks = [int(word) for word in words[:8]] + [0] * (8 - len(words))
        user, nice, system, idle, waiting, irq, soft, stolen = ticks
        own = os.times()
        own_ticks = 0 if self.runner else sum(own[:4]) * os.sysconf("SC_CLK_TCK")
        busy = user + nice + system + irq + soft
        return busy, stolen, busy + stolen + idle + waiting, own_ticks

    def _shares(self, since):
        busy, stolen, all_, own = (now - then for now, then in zip(self._times(), since))
        return (max(busy - own, 0) / all_, stolen / all_) if all_ else (float("nan"), float("nan"))

    def say(self, progress):
        governor = ", ".join(self.governors) or "cannot be read"
        host = f", the host {self.stolen:.0%}" if self.stolen > 0 else ""
        progress.note(f"governor: {governor}; turbo: {self.boost or 'cannot be read'}; load average: {self.load:.2f}; "
                      f"others take {self.others:.0%} of the processors' time{host}")
        if self.governors and self.governors != ["performance"]:
            progress.warn("the clock follows the load: 'sudo cpupower frequency-set -g performance' holds it up. "
                          "Ratios within a round hold anyway, but fewer values will be proven")
        if self.others > BUSY:
            who = f" ({', '.join(self.names)})" if self.names else ""
            progress.warn(f"others take {self.others:.0%} of the processors' time{who}: stop them, or fewer candidates "
                          "will be tried, and fewer values proven")
        if self.stolen > STOLEN:
            progress.warn(f"the host gives {self.stolen:.0%} of the processors' time to other machines: another hour "
                          "may be better")

    def record(self):
        """For the provenance, at the end: the shares are of the whole run."""
        others, stolen = self._shares(self.first)
        known = {"governor": ", ".join(self.governors), "turbo": self.boost, "load_average": self.load,
                 "others_percent": _percent(others), "stolen_percent": _percent(stolen)}
        return {name: value for name, value in known.items() if value not in ("", None) and value == value}


def _percent(share):
    return round(100 * share, 1)


def _boost(files):
    if BOOST[0] in files:
        return "on" if files[BOOST[0]] == "1" else "off"
    if BOOST[1] in files:
        return "off" if files[BOOST[1]] == "1" else "on"
    return None


def _seconds_of_processes():
    """{process: (its name, processor seconds so far)}, this one not among them"""
    found, tick = {}, os.sysconf("SC_CLK_TCK")
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, tail = path.read_text().rsplit(")", 1)
        except OSError:
            continue  # it has ended
        number, name = head.split(" (", 1)
        words = tail.split()
        if int(number) != os.getpid():
            found[number] = name, (int(words[11]) + int(words[12])) / tick
    return found


def _busiest(before, count=3):
    used = {f"{name}, process {number}": seconds - before.get(number, (name, 0.0))[1]
            for number, (name, seconds) in _seconds_of_processes().items()}
    return sorted((who for who in used if used[who] > BUSY * LOOK), key=lambda who: -used[who])[:count]
