"""Where new values go: a file of schedules/by_cpu for this model of CPU, the target's own file, or a kernel pack."""
import re
from os.path import relpath

from . import pack
from .proof import PackProof
from .schedule import Schedule, in_place, text_of, write
from .space import ROOT


class TargetFile:
    """For all models of CPU, or for a device."""

    def __init__(self, schedule, cpu):
        self.schedule = Schedule.of_target(schedule.target, schedule.manifest)
        self.path = schedule.path(schedule.target)
        self.writes, self.unchanged = "schedules/", "schedules/ stays as it is"

    def problem(self):
        """Why it cannot be written, or None."""
        return None

    def proof(self, proof):
        """Of what is written: that of a file by default."""
        return proof

    def text(self, new):
        return new.text()

    def give(self, new, accepted, builder, proof, progress, patiently):
        """Writes the file, and proves it; if it is not, all is as it was."""
        with in_place(self.path, self.text(new), builder.folder, patiently):
            progress.note(f"{len(accepted)} kernels have new values in {relpath(self.path, ROOT)}")
            proof.give(progress)


class CpuFile(TargetFile):
    """For this machine's model of CPU: what differs from the target's file. Those of other models stay as they are."""

    def __init__(self, schedule, cpu):
        super().__init__(schedule, cpu)
        self.schedule = Schedule.of_cpu(schedule.target, cpu, schedule.manifest)
        self.path, self.cpu = schedule.path_of_cpu(schedule.target, cpu), cpu

    def problem(self):
        if re.fullmatch(r"[A-Za-z0-9]+(-[0-9A-F]+)+", self.cpu):  # as cmake/Manifest.cmake
            return None
        return f"the machine's CPU is '{self.cpu}', which is no model that a file can be for: give --base or --pack"

    def text(self, new):
        cpus = Schedule.of_file(self.path, new.manifest).cpus if self.path.exists() else [self.cpu]
        return text_of(new.for_cpus(cpus, new.data["provenance"]))


class PackFile(CpuFile):
    """A kernel pack, for programs that are linked already."""

    def __init__(self, schedule, cpu, name):
        super().__init__(schedule, cpu)
        self.name, self.path = name, pack.path_of(name)
        self.writes, self.unchanged = self.path.name, "there is nothing for a pack"

    def problem(self):
        return None

    def proof(self, proof):
        return PackProof(self.path, proof)

    def text(self, new):
        return text_of(new.for_cpus([self.cpu], new.data["provenance"]))

    def give(self, new, accepted, builder, proof, progress, patiently):
        self.path.parent.mkdir(exist_ok=True)
        pack.make(builder, new, {slot: point for slot, (point, _) in accepted.items()}, self.name, self.path)
        patiently(lambda: write(builder.folder / f"{self.path.stem}.json", self.text(new)))
        try:
            proof.give(progress)
        except BaseException:
            self.path.unlink()
            raise
        path = relpath(self.path, ROOT)
        progress.note(f"{path} has {len(accepted)} kernels. Programs with this build of hnorm load it by "
                      f"HNORM_PACK={path} or hnorm_load_pack")


def destination_of(options, schedule, cpu):
    if options.pack and schedule.device:
        raise ValueError(f"--pack is {options.pack}: packs have kernels of CPUs, not of {schedule.target}")
    if options.pack:
        return PackFile(schedule, cpu, options.pack)
    return TargetFile(schedule, cpu) if schedule.device or options.base else CpuFile(schedule, cpu)
