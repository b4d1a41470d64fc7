"""Schedules by CPU and packs, as the tuner sees them: python -m unittest tests/check_schedules.py"""
import argparse
import contextlib
import copy
import json
import random
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from tune import destination, pack, schedule
from tune.process import BuildError
from tune.schedule import Schedule
from tune.space import Manifest

TARGET = "x86-64-avx2"
ZEN3, ZEN4 = "AuthenticAMD-25-1", "AuthenticAMD-25-11"


class Told:
    def note(self, line):
        pass


class Proof:
    def __init__(self, holds):
        self.holds = holds

    def give(self, progress):
        if not self.holds:
            raise BuildError("the bits are others")


class ByCpu(unittest.TestCase):
    def setUp(self):
        context = contextlib.ExitStack()
        self.addCleanup(context.close)
        self.folder = Path(context.enter_context(tempfile.TemporaryDirectory()))
        for module, name in ((schedule, "BY_CPU"), (destination, "ROOT")):
            context.enter_context(mock.patch.object(module, name, self.folder))
        self.base = Schedule.of_target(TARGET, Manifest())

    def changed(self, seed, count=6):
        """Some slots with other values, and dispatch values."""
        draw = random.Random(seed)
        points = {slot: self.base.space.random_point(slot, seed)
                  for slot in draw.sample(self.base.manifest.slots(), count)}
        new = self.base.with_points(points)
        new.data["dispatch"] = {"serial_below": seed,
                                "backward": {"f16": {"block_elements": 4096 + seed}, "flat_elements": 8}}
        return new

    def write(self, name, new, cpus):
        (self.folder / f"{TARGET}.{name}.json").write_text(schedule.text_of(new.for_cpus(cpus, {"cpu": name})))

    def test_a_file_for_cpus_gives_back_what_it_was_made_of(self):
        for seed in range(5):
            new = self.changed(seed)
            self.write("one", new, [ZEN4])
            read = Schedule.of_file(self.folder / f"{TARGET}.one.json", self.base.manifest)
            self.assertEqual([read.point(slot) for slot in read.manifest.slots()],
                             [new.point(slot) for slot in new.manifest.slots()])
            self.assertEqual(schedule._dispatch(read), schedule._dispatch(new))
            self.assertEqual((read.cpus, read.data["provenance"]), ([ZEN4], {"cpu": "one"}))

    def test_a_file_for_cpus_says_what_differs_and_no_more(self):
        self.assertEqual(self.base.for_cpus([ZEN4], {}), {"target": TARGET, "cpus": [ZEN4], "provenance": {}})
        slot = self.base.manifest.slots()[3]
        point = self.base.point(slot)
        knob = next(iter(point))
        other = next(value for value in self.base.space.values(knob) if value != point[knob])
        data = self.base.with_points({slot: point | {knob: other}}).for_cpus([ZEN4], {})
        self.assertEqual(data["kernels"], {slot.kernel: {slot.planes: {slot.type: {knob: other}}}})

    def test_the_nearest_file_is_in_use_as_in_the_library(self):
        self.write("zen3", self.changed(1), [ZEN3, "AuthenticAMD-25-21"])
        self.write("zen4", self.changed(2), [ZEN4])
        for cpu, name in ((ZEN4, "zen4"), (ZEN3, "zen3"), ("AuthenticAMD-25-20", "zen3"),
                          ("AuthenticAMD-25-61", "zen3"), ("AuthenticAMD-26-2", None), ("GenuineIntel-25-11", None),
                          ("unknown", None)):
            found = Schedule.of_cpu(TARGET, cpu, self.base.manifest)
            self.assertEqual(found.data["provenance"].get("cpu") if found.cpus else None, name, cpu)

    def give(self, cpu, new, holds=True):
        to = destination.CpuFile(self.base, cpu)
        new.data["provenance"] = {}
        with tempfile.TemporaryDirectory() as folder:
            builder = argparse.Namespace(folder=Path(folder))
            to.give(new, {}, builder, Proof(holds), Told(), lambda action: action())
        return to.path

    def files(self):
        return {path.name: path.read_text() for path in self.folder.glob("*.json")}

    def test_tuning_writes_the_file_of_its_cpu_and_leaves_others_as_they_are(self):
        self.write("zen3", self.changed(1), [ZEN3, "AuthenticAMD-25-21"])
        before, base = self.files(), self.base.path(TARGET).read_text()
        path = self.give(ZEN4, self.changed(2))
        self.assertEqual(path.name, f"{TARGET}.{ZEN4}.json")
        self.assertEqual(json.loads(path.read_text())["cpus"], [ZEN4])
        self.assertEqual({name: text for name, text in self.files().items() if name != path.name}, before)
        again = self.give(ZEN3, self.changed(3))  # in its own file, which stays for the other model, too
        self.assertEqual((again.name, json.loads(again.read_text())["cpus"]),
                         (f"{TARGET}.zen3.json", [ZEN3, "AuthenticAMD-25-21"]))
        self.assertEqual(self.base.path(TARGET).read_text(), base)

    def test_a_file_that_is_not_proven_leaves_all_as_it_was(self):
        self.write("zen3", self.changed(1), [ZEN3])
        before = self.files()
        for cpu in (ZEN3, ZEN4):
            with self.assertRaises(BuildError):
                self.give(cpu, self.changed(2), holds=False)
            self.assertEqual(self.files(), before)

    def test_the_options_say_where_values_go(self):
        def to(**options):
            given = argparse.Namespace(**{"pack": None, "base": False} | options)
            return destination.destination_of(given, copy.copy(self.base), ZEN4)

        self.assertEqual(to().path, self.folder / f"{TARGET}.{ZEN4}.json")
        self.assertEqual(to(base=True).path, self.base.path(TARGET))
        self.assertIsNone(to().problem())
        self.assertIn("CPU is 'unknown', which is no model", destination.CpuFile(self.base, "unknown").problem())
        self.assertEqual(to(pack="mine").path.name, "hnorm-pack-mine.so")
        cuda = Schedule.of_target("cuda", Manifest(devices=True))
        options = argparse.Namespace(pack="mine", base=False)
        with self.assertRaisesRegex(ValueError, "--pack is mine: packs have kernels of CPUs, not of cuda"):
            destination.destination_of(options, cuda, None)

    def test_a_pack_has_a_name_that_a_file_can_have(self):
        self.assertEqual(pack.check_name("zen4_v2.1-a"), "zen4_v2.1-a")
        for name in ("", "a/b", "..", "a b", "-a", "x" * 65, 'a"'):
            with self.assertRaisesRegex(argparse.ArgumentTypeError, "is no name of a pack"):
                pack.check_name(name)


if __name__ == "__main__":
    unittest.main()
