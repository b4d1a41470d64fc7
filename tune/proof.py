"""The library with a new schedule file, and every kernel's results held to the order of summation."""
import subprocess

from .machine import best_target
from .process import BuildError, run
from .space import ROOT, Manifest

CHANGED_KERNELS = 40  # about as many have new values
SECONDS_OF_KERNEL = 1.5  # of its compilation, on average
OTHER_SECONDS = 30  # the library's and the test's own sources, and the test
BUILD, TEST = 3600, 1800  # seconds after which a build and a test hang
UNWANTED = ("STATE", "GPU", "TOOLS", "BENCH", "EXAMPLES")  # in a build of the target alone


class Proof:
    """In the build that ./dev uses; where its library is not for the target, not there or older than the generators,
    that would be every target's kernels: in a build of the target alone, then."""

    library, rebuilt, test = "runtime/libhnorm.a", ("hnorm", "test_digests"), "bin/test_digests"
    held_to, begins = "the digests", "building the library with the new values of {target}"

    def __init__(self, build, schedule, folder, toolchain):
        self.generators, self.schedule, self.toolchain = build / "bin/hnorm_generators", schedule, toolchain
        self.cross = schedule.data["halide_arch"] != "x86-64"
        self.own = self.cross or not self._current(build)
        self.build = folder / "build" if self.own else build

    def _kernels(self):
        return self.schedule.manifest.slots()

    def seconds(self, jobs, changed=CHANGED_KERNELS):
        """About so many it will take, with so many changed kernels."""
        kernels = changed if self._current(self.build) else len(self._kernels())
        return OTHER_SECONDS + SECONDS_OF_KERNEL * kernels / jobs

    def _current(self, build):
        library = build / self.library
        return library.exists() and library.stat().st_mtime > self.generators.stat().st_mtime

    def _options(self):
        static = ["-DCMAKE_EXE_LINKER_FLAGS=-static"] if self.cross else []
        return [f"-DHNORM_TARGETS={self.schedule.target}", "-DHNORM_DEVICES=", *static]

    def _configure(self):
        run(["cmake", "--preset", "arm-64" if self.cross else "release", "-S", ROOT, "-B", self.build,
             f"-DHNORM_GENERATORS={self.generators}", *(f"-DHNORM_BUILD_{part}=OFF" for part in UNWANTED),
             *self._options()])

    def _tests(self, program):
        """The commands that are to succeed."""
        return [[*program, "--target", self.schedule.target]]

    def give(self, progress):
        target = self.schedule.target
        progress.note(self.begins.format(target=target))
        if self.own:
            self._configure()
        log = ROOT / "out/tune" / target / "build.log"
        with open(log, "w") as file:
            try:
                run(["cmake", "--build", self.build, "--target", *self.rebuilt], BUILD, stdout=file,
                    stderr=subprocess.STDOUT)
            except BuildError as error:
                raise BuildError("the library does not build with the new values, and the file is what it was before:\n"
                                 f"{error}\nits words: {log}") from error
        progress.note(f"comparing every kernel's results with {self.held_to}")
        for command in self._tests(self.toolchain.place(self.build / self.test)):
            try:
                run(command, TEST, stderr=subprocess.STDOUT)
            except BuildError as error:
                raise BuildError(f"the results are not those of {self.held_to}, and the file is what it was before:\n"
                                 f"{error}") from error
        progress.note(f"done: {self._done(target)}")

    def _done(self, target):
        if self.own:
            return f"{target}'s kernels are built, and their bits are what they were; ./dev build makes the library"
        return "the library is built, and its bits are what they were"


class DeviceProof(Proof):
    """Each kernel by itself, on the device."""

    library, test = "runtime/gpu/libhnorm_gpu.a", "bin/test_devices"
    held_to = "the order of summation, on the device"

    @property
    def rebuilt(self):
        return ("test_devices",) if self.own else ("hnorm_gpu", "test_devices")

    def _current(self, build):
        objects = build / "generators/kernels"
        return super()._current(build) and any(objects.glob(f"hnorm_kernel_moments_*_{self.schedule.target}.o"))

    def _kernels(self):
        return [*super()._kernels(), *self.schedule.manifest.group_kernels]

    def _options(self):
        return [f"-DHNORM_TARGETS={best_target(Manifest())}", f"-DHNORM_DEVICES={self.schedule.target}"]

    def _tests(self, program):
        manifest = self.schedule.manifest
        device = ["env", f"HNORM_TEST_DEVICE={self.schedule.target}", "HNORM_TEST_DEVICE_NEEDED=1"]
        return [[*program[:-1], *device, f"HNORM_TEST_FORMAT={layout}/{type_}", program[-1]]
                for layout in manifest.layouts for type_ in manifest.types]


class PackProof(Proof):
    """The pack as the library loads it."""

    rebuilt, begins = ("test_digests",), "building the program that holds packs to the digests"

    def __init__(self, path, proof):
        """proof: that of the target's file, for its build."""
        self.__dict__.update(proof.__dict__)
        self.path = path

    def seconds(self, jobs, changed=0):
        """The changed kernels are compiled already."""
        return super().seconds(jobs, 0)

    def _tests(self, program):
        return [[*program, "--pack", self.toolchain.place(self.path)[-1]]]

    def _done(self, target):
        return f"the pack's kernels give {self.held_to}"


def proof_of(build, schedule, folder, toolchain):
    return (DeviceProof if schedule.device else Proof)(build, schedule, folder, toolchain)
