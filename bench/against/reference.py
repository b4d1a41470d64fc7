"""The library of a commit, built under out/against for the target in use, with the engine of today.

Kernels that the build has with the same generators and the same values of the knobs are copied, not compiled again."""
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from bench.rows import ROOT

# What the program is made of that compiles kernels; their values are its arguments, which are
# compared by kernel.
COMPILERS = ("generators/*.cpp", "generators/*.h", "schedules/*.h", "schedules/space", "cmake/ScheduleSpace.cmake")
PACE = 15  # seconds between notes


def git(*arguments):
    found = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True)
    if found.returncode:
        raise ValueError(found.stderr.strip().splitlines()[-1] if found.stderr else f"git {arguments[0]} failed")
    return found.stdout.strip()


def commit_of(reference):
    try:
        return git("rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}")
    except ValueError as error:
        raise ValueError(f"--against is '{reference}': it must be a file of --json, or a commit, tag or branch of this "
                         "repository") from error


def known_kernels(build):
    """{kernel's symbol: the arguments of the generator that made it} of a build."""
    commands = subprocess.run(["ninja", "-C", str(build), "-t", "commands", "hnorm"], capture_output=True, text=True)
    known = {}
    for line in commands.stdout.splitlines():
        if "hnorm_generators -g " in line:
            words = shlex.split(line.split("hnorm_generators ", 1)[1].split(" && ")[0])
            known[words[words.index("-f") + 1]] = without_folder(words)
    return known


def without_folder(arguments):
    at = arguments.index("-o") if "-o" in arguments else len(arguments)
    return arguments[:at] + arguments[at + 2:]


class Reference:
    def __init__(self, reference, build, target, note):
        self.commit, self.build, self.target, self.note = commit_of(reference), Path(build), target, note
        self.folder = ROOT / "out/against" / self.commit[:12]
        self.source = self.folder / "source"

    def library(self):
        """The path of its shared library."""
        self._unpack()
        self._run("configuring", ["cmake", "-G", "Ninja", "-S", ROOT / "bench/against", "-B", self._build(),
                                  f"-DHNORM_REFERENCE={self.source}", *self._options()])
        self._run("building", ["cmake", "--build", self._build(), "--target", "hnorm_against"])
        return self._build() / "libhnorm_against.so"

    def _build(self):
        return self.folder / f"build-{self.target}"

    def _unpack(self):
        if (self.folder / "whole").exists():
            return
        self.note(f"unpacking {self.commit[:12]} into {self.folder.relative_to(ROOT)}")
        self.source.mkdir(parents=True, exist_ok=True)
        archive = subprocess.Popen(["git", "-C", str(ROOT), "archive", self.commit], stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", str(self.source)], stdin=archive.stdout, check=True)
        if archive.wait():
            raise ValueError(f"git archive {self.commit} failed")
        (self.folder / "whole").touch()

    def _options(self):
        cache = (self.build / "CMakeCache.txt").read_text()
        value = {name: line.split("=", 1)[1] for line in cache.splitlines()
                 for name in ("CMAKE_BUILD_TYPE", "Halide_DIR", "CMAKE_CXX_COMPILER") if line.startswith(f"{name}:")}
        return [*(f"-D{name}={of_name}" for name, of_name in value.items()), f"-DHNORM_TARGETS={self.target}",
                "-DHNORM_DEVICES=", *self._generators()]

    def _generators(self):
        """Those of the build, where they are those of the commit."""
        if git("diff", "--name-only", self.commit, "--", *COMPILERS):
            self.note("the commit has other generators: all of its kernels are compiled")
            return []
        folder = self.folder / "generators"
        folder.mkdir(exist_ok=True)
        program, names = folder / "hnorm_generators", folder / "hnorm_hide_names"
        (folder / "known.json").write_text(json.dumps({
            "generators": str(self.build / "bin/hnorm_generators"),
            "kernels": str(self.build / "generators/kernels"), "arguments": known_kernels(self.build)}))
        script = f"#!{sys.executable}\n" + (Path(__file__).parent / "kernels_again.py").read_text()
        if not program.exists() or program.read_text() != script:
            program.write_text(script)
            program.chmod(0o755)
        names.unlink(missing_ok=True)
        names.symlink_to(self.build / "bin/hnorm_hide_names")
        return [f"-DHNORM_GENERATORS={program}"]

    def _run(self, what, command):
        log = self.folder / f"{what}.log"
        with open(log, "w") as output:
            process = subprocess.Popen([str(word) for word in command], stdout=output, stderr=subprocess.STDOUT,
                                       env=os.environ)
        started = said = time.monotonic()
        while (code := process.poll()) is None:
            time.sleep(0.1)
            if time.monotonic() - said > PACE:
                said = time.monotonic()
                last = (log.read_text(errors="replace").strip().splitlines() or [""])[-1]
                self.note(f"{what} the library of {self.commit[:12]}: {said - started:.0f} s: {last[:100]}")
        if code:
            raise RuntimeError(f"{what} the library of {self.commit[:12]} failed, maybe since today's engine calls "
                               f"what it does not have: {log}")
