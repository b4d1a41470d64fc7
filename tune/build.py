"""Compiles kernels with given knobs, and links them with the runner and a dispatch table of the tuner's own."""
import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .process import FULL_WORDS, BuildError, DiskFull, Outside, end_all, rows_of, run
from .space import ROOT

BASE = "base"
TRANSFER, CONNECTION = 120, 20  # seconds for bringing a program to a board, and for reaching it
LINKING = 300
LEAST_SPACE = 1 << 20  # bytes; with less, what fails for other reasons in words fails for this one


class Toolchain:
    """How programs for the target are made and run. `runner`: the command before a program's path."""

    def __init__(self, cxx="c++", flags=(), runner=()):
        self.cxx, self.flags, self.runner = cxx, list(flags), list(runner)
        self.remote = bool(self.runner) and Path(self.runner[0]).name in ("ssh", "adb")
        # How many times longer than here a program may take: boards are slow, emulators slower.
        self.slowness = 10 if self.runner else 1

    def place(self, program):
        """Brings a program to where the runner finds it, and returns the command that runs it."""
        if not self.remote:
            return [*self.runner, str(program)]
        there = self._there(program)
        if Path(self.runner[0]).name == "adb":
            run([self.runner[0], "push", program, there], TRANSFER)
            run([*self.runner, f"chmod +x {there}"], TRANSFER)
        else:
            with open(program, "rb") as file:
                run([*self.runner, f"cat > {there} && chmod +x {there}"], TRANSFER, stdin=file)
        return [*self.runner, there]

    def _there(self, program):
        return f"{'/data/local/tmp' if Path(self.runner[0]).name == 'adb' else '/tmp'}/{program.name}"

    def unreachable(self):
        """Why no program can run, or None."""
        if not self.remote:
            return None
        try:
            run([*self.runner, "true"], CONNECTION)
        except BuildError as error:
            return f"'{' '.join(self.runner)}' does not answer: {str(error).splitlines()[-1]}"
        return None

    def end(self, program):
        """A program there goes on when the connection is gone, and would disturb what comes after."""
        if self.remote:
            name = program.name
            with contextlib.suppress(BuildError):  # the pattern does not match the shell that looks for it
                run([*self.runner, f"pkill -KILL -f [{name[0]}]{name[1:]}"], CONNECTION)

    def remove(self, program):
        if self.remote:
            with contextlib.suppress(BuildError):
                run([*self.runner, f"rm -f {self._there(program)}"], CONNECTION)


class Builder:
    """A point is {knob: value} or, for the bench, other parameters of the generators. Everything it makes is kept in
    `folder` by content: what was compiled once is not compiled again."""

    def __init__(self, schedule, folder, generators, halide_include, toolchain, jobs, library=None):
        """library: a folder of the build with the kernels of the schedule file as it is; they are not compiled."""
        self.schedule, self.manifest = schedule, schedule.manifest
        self.folder, self.generators, self.toolchain, self.jobs = folder, Path(generators), toolchain, jobs
        self.halide_include, self.library_objects = halide_include, library
        (folder / "objects").mkdir(parents=True, exist_ok=True)
        stat = self.generators.stat()
        self.version = f"{stat.st_size} {stat.st_mtime_ns} {self.halide_target()}"
        self.programs = 0
        self.includes, self.runner_options = [ROOT / "runtime/src", ROOT / "runtime/include"], []
        self.group_points = {}  # of kernels without knobs, {slot: point}
        self.patience = 600  # seconds of a kernel's compilation
        self.made = set()  # programs

    # ---- kernels

    def halide_target(self):
        return "-".join([self.schedule.halide_target, *self.manifest.features])

    def symbol(self, slot, point):
        if self.library_objects and point == self.schedule.point(slot):
            target = self.schedule.target.replace("-", "_")
            return f"hnorm_kernel_{slot.kernel}_{slot.planes}_{slot.type}_{target}"
        key = hashlib.sha256(json.dumps([self.version, str(slot), sorted(point.items())]).encode()).hexdigest()[:12]
        return f"tuned_{slot.kernel}_{slot.planes}_{slot.type}_{key}"

    def compile(self, kernels):
        """kernels: (slot, point) pairs. Returns {pair's symbol: BuildError} of those that do not compile."""
        todo = {self.symbol(slot, point): (slot, point) for slot, point in kernels}
        todo = {symbol: kernel for symbol, kernel in todo.items() if not self._object(symbol).exists()}
        pool = ThreadPoolExecutor(self.jobs)
        try:
            errors = list(pool.map(lambda item: self._compile(*item), todo.items()))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            end_all()
            raise
        pool.shutdown()
        return {symbol: error for symbol, error in zip(todo, errors) if error}

    def compiler_works(self, slot, point):
        """Whether a kernel that is there already compiles again; raises BuildError."""
        failure = self._compile(self.symbol(slot, point), (slot, point), keep=False)
        if failure:
            raise failure

    def forget(self, slot, point):
        """An object that does not link may be half of one, as after a loss of power."""
        if not self.symbol(slot, point).startswith("hnorm_kernel_"):
            self._object(self.symbol(slot, point)).unlink(missing_ok=True)

    def make_room(self, kernels):
        """Removes all objects but those of these kernels. Returns how many bytes they took."""
        keep, freed = {self._object(self.symbol(*kernel)) for kernel in kernels}, 0
        for path in (self.folder / "objects").glob("tuned_*.o"):
            if path not in keep:
                freed += path.stat().st_size
                path.unlink()
        return freed

    def outside(self, error):
        """What of a failure is nothing that was compiled or run is to blame for; None if it may be."""
        text = str(error)
        for folder in (self.folder, Path(tempfile.gettempdir())):
            if shutil.disk_usage(folder).free < LEAST_SPACE or any(words in text for words in FULL_WORDS):
                return DiskFull(f"the disk of {folder} is full: free some space there")
        reason = self.toolchain.unreachable()
        return Outside(reason) if reason else None

    def rows_of(self, program, what, cases, silence):
        """As process.rows_of(), of a program of this builder; there nothing of it is left running. Where others work,
        too, it may take longer."""
        crowd = max(1, os.getloadavg()[0] / self.jobs)
        try:
            return rows_of(program, what, cases, silence * crowd * self.toolchain.slowness)
        except BuildError:
            self.toolchain.end(Path(program[-1]))
            raise

    def sweep(self):
        """Removes what tuners that were killed left half made."""
        for path in [*self.folder.glob("runner_*_*"), *self.folder.glob("tmp*")]:
            owner = path.name.split("_")[1] if path.name.startswith("runner_") else None
            if owner is None or not Path(f"/proc/{owner}").exists():
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def close(self):
        for program in () if self.toolchain.unreachable() else self.made:
            self.toolchain.remove(program)
        for path in self.folder.glob(f"runner_{os.getpid()}_*"):
            path.unlink()

    def _compile(self, symbol, kernel, keep=True):
        slot, point = kernel
        entry = self._entry(slot)
        parameters = self._of_slot(slot) | entry["parameters"] | point
        plugin = []
        if "autoscheduler" in point:
            plugin = ["-p", self.halide_include.parent / f"lib64/libautoschedule_{point['autoscheduler'].lower()}.so"]
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            try:
                run([
                    self.generators, *plugin, "-g", entry["generator"], "-f", symbol, "-o", scratch, "-e", "object",
                    f"target={self.halide_target()}",
                    *(f"{name}={value}" for name, value in parameters.items()),
                ], self.patience)
                self._check(Path(scratch) / f"{symbol}.o")
            except BuildError as error:
                return error
            if keep:
                os.replace(Path(scratch) / f"{symbol}.o", self._object(symbol))
        return None

    def _check(self, object_):
        """Raises BuildError where an object that was compiled does not do."""

    def _of_slot(self, slot):
        return {"planes": slot.planes, "element": slot.type}

    def _object(self, symbol):
        if symbol.startswith("hnorm_kernel_"):
            return self.library_objects / f"{symbol}.o"
        return self.folder / "objects" / f"{symbol}.o"

    def halide_runtime(self):
        name, features = self._runtime()
        path = self._object(name)
        if not path.exists():
            least = "-".join([self.schedule.data["halide_arch"], "linux", *features])
            run([self.generators, "-r", name, "-e", "object", "-o", path.parent, f"target={least}"])
        return path

    def _runtime(self):
        return "halide_runtime", []

    # ---- programs

    def library(self):
        """Builds the runner without kernels."""
        build = self.folder / "runner"
        arguments = ["cmake", "-G", "Ninja", "-S", ROOT / "tune/runner", "-B", build, "-D", "CMAKE_BUILD_TYPE=None",
                     "-D", f"HNORM_HALIDE_INCLUDE_DIR={self.halide_include}", "-D",
                     f"CMAKE_CXX_COMPILER={self.toolchain.cxx}", *self.runner_options]
        run(arguments)
        run(["cmake", "--build", build])
        self.archive = build / "libhnorm_tune_runner.a"

    def program(self, rows, **dispatch):
        """Links a runner whose table has the rows {name: {slot: point}}, the first of them base; returns its command.
        dispatch: in place of the schedule file's values."""
        rows = {name: points | self.group_points for name, points in rows.items()}
        symbols = self._symbols(rows)
        return self._link(symbols, self._objects(symbols), dispatch)

    def _symbols(self, rows):
        return {name: {slot: self.symbol(slot, point) for slot, point in points.items()}
                for name, points in rows.items()}

    def _objects(self, symbols):
        return sorted({self._object(symbol) for row in symbols.values() for symbol in row.values()})

    def stubs(self, **dispatch):
        """Links a runner that says which kernels a call takes."""
        slots = [*self.manifest.slots(), *self.group_points]
        names = "\n".join(f'constexpr char slot_{i}[] = "{slot}";' for i, slot in enumerate(slots))
        stubs = {slot: f"hnorm::tune::Stub<hnorm::detail::{self._entry(slot)['signature']}, slot_{i}>::call"
                  for i, slot in enumerate(slots)}
        return self._link({BASE: stubs}, [], dispatch, f'#include "{ROOT}/tune/runner/stubs.h"\n{names}', "stubs")

    def _entry(self, slot):
        return self.manifest.kernels[slot.kernel]

    def _link(self, symbols, objects, dispatch, prelude="", name=None):
        self.programs += 1
        program = self.folder / f"runner_{os.getpid()}_{name or self.programs % 2}"
        self.made.add(program)
        self._link_to(program, symbols, [self.archive, *objects], dispatch=dispatch, prelude=prelude)
        return self.toolchain.place(program)

    def shared_library(self, path, rows):
        """As program(), for ctypes: bench/engine/shared.cpp's functions."""
        symbols = self._symbols(rows)
        archive = ["-Wl,--whole-archive", self.archive, "-Wl,--no-whole-archive"]
        self._link_to(path, symbols, [*archive, *self._objects(symbols)],
                      ["-shared", "-fPIC", f"-Wl,--version-script={ROOT}/tune/runner/exported.map"])
        return path

    def _link_to(self, path, symbols, objects, flags=(), dispatch=(), prelude=""):
        """symbols: the table's rows, {name: {slot: what C++ calls the kernel}}"""
        source = path.with_suffix(".cpp")
        self._write_table(source, symbols, dict(dispatch), prelude)
        run([self.toolchain.cxx, *self.toolchain.flags, "-std=c++17", "-O0", *flags,
             *(f"-I{folder}" for folder in self.includes), "-isystem", self.halide_include, "-o", path, source,
             *objects, self.halide_runtime(), "-lpthread", "-ldl", "-lm"], LINKING)
        source.unlink()

    def _write_table(self, source, symbols, dispatch, prelude):
        """By the script that writes the library's."""
        script, schedule = source.with_suffix(".cmake"), source.with_suffix(".json")
        schedule.write_text(json.dumps(self.schedule.data))
        overrides = " ".join(f"{name}={value}" for name, value in dispatch.items())
        script.write_text("\n".join([
            f"set(schedule_file [[{schedule}]])", f"set(prelude [==[{prelude}]==])",
            f"set(dispatch_overrides {overrides})",
            *(f"set({name} {value})" for name, value in self._table_of(" ".join(symbols)).items()),
            *(f"hnorm_add_symbol([[{self.prefix}]] {slot.kernel} {slot.name} {row} [[{symbol}]])"
              for row, kernels in symbols.items() for slot, symbol in kernels.items()),
        ]))
        run(["cmake", "-D", f"TABLE={script}", "-D", f"OUT={source}", "-P", ROOT / "cmake/KernelTable.cmake"])
        script.unlink()
        schedule.unlink()

    prefix = ""  # of the manifest's part, as cmake/Manifest.cmake has it

    def _table_of(self, rows):
        return {"rows": rows}
