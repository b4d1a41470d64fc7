"""Nothing that a candidate does stops the tuner, nor do compilers, disks and boards that fail for a while. With
stand-ins for the generators, the C++ compiler and the runner: python -m unittest tests/check_tune_failures.py"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

try:
    import optuna  # noqa: F401
except ModuleNotFoundError:
    print("skipped: no optuna in .venv, where ./dev puts it")
    sys.exit()

from tune import __main__ as main
from tune import build, journal, measuring, process
from tune.build import Toolchain
from tune.destination import TargetFile
from tune.schedule import Schedule, in_place, restore, write
from tune.session import Session
from tune.space import Manifest, Slot

HERE = Path(__file__).resolve().parent
ROWS = [f"normalize/instance/channels_first/f32/{shape}" for shape in ("4x16x8x8", "8x16x8x8", "32x64x8x8")]
OTHER_ROWS = [row.replace("first", "last") for row in ROWS]
SLOT, OTHER = Slot("normalize", "small", "f32"), Slot("normalize", "last", "f32")
BEST = {"store_vector": 16, "group_block": 16, "store_unroll": 1}


class Builder(build.Builder):
    def library(self):
        self.archive = self.folder / "archive"

    def _write_table(self, source, symbols, dispatch, prelude):
        source.write_text(json.dumps({row: {str(slot): symbol for slot, symbol in slots.items()}
                                      for row, slots in symbols.items()}))


class Heard:
    """A progress that remembers. mend: called with each warning, as by one who reads and helps."""

    def __init__(self, mend=None):
        self.lines, self.mend = [], mend

    def warn(self, text):
        self.lines.append(text)
        if self.mend:
            self.mend(text)

    def note(self, text):
        self.lines.append(text)

    def failed(self, name, changes, why):
        self.lines.append(f"{name}: {why}")

    def __getattr__(self, name):
        return lambda *_: None


class Conditions:
    def record(self):
        return {}


def schedule_of_few_points():
    schedule = Schedule.of_target("x86-64-avx2", Manifest())
    schedule.data["kernels"] = {"normalize": {"small": {"store_vector": 8, "group_block": 4}}}
    few = {"store_vector": [8, 16], "store_unroll": [1]}
    for knob, values in few.items():
        schedule.space.data["knobs"][knob]["values"] = values
    return schedule


class Runs(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        for name, value in (("SILENCE", 1), ("COMPILATION", 3), ("PAUSES", (0.1,))):
            patch = mock.patch.object(measuring, name, value)
            patch.start()
            self.addCleanup(patch.stop)

    def run_tuner(self, rows=ROWS, runner=(), mend=None, seconds=1000, **faults):
        with mock.patch.dict(os.environ, FAULTS=json.dumps(faults)):
            return tuned(self.folder, rows, runner, Heard(mend), seconds)

    def assert_best_is_found(self, session):
        self.assertIn(SLOT, session.accepted, session.progress.lines)
        self.assertEqual(session.accepted[SLOT][0], BEST)


class Candidates(Runs):
    def test_those_that_fail_are_noted_and_the_others_of_their_batches_measured(self):
        faults = {(16, 32): ("crash", "SIGSEGV"), (8, 32): ("hang", "said nothing"), (16, 64): ("kill", "SIGKILL"),
                  (8, 64): ("bits", "changes bits"), (16, 1): ("fail", "does not compile"),
                  (8, 1): ("hang", "took more than")}
        words = {point: f"store_vector={point[0]} group_block={point[1]}" for point in faults}
        compiled = [(16, 1), (8, 1)]
        session = self.run_tuner(compile={words[point]: faults[point][0] for point in compiled},
                                 run={words[point]: faults[point][0] for point in faults if point not in compiled})
        self.assertEqual({slot for slot, _, _ in session.failures.new}, {SLOT})
        found = {(point["store_vector"], point["group_block"]): why for _, point, why in session.failures.new}
        self.assertEqual(found.keys(), faults.keys())
        for point, (_, word) in faults.items():
            self.assertIn(word, found[point])
        self.assert_best_is_found(session)
        scored = [point for point, _ in session.searches[SLOT].best(99)]
        self.assertEqual(session.searches[SLOT].tried, 12)  # not the values in use, nor the default, which hung before
        for _, point, _ in session.failures.new:
            self.assertNotIn(point, scored)
        again = self.run_tuner()  # they would run now, and are not tried
        self.assertEqual(again.failures.new, [])
        for _, point, why in session.failures.new:
            self.assertEqual(again.failures.of(SLOT, point), why)
        self.assert_best_is_found(again)

    def test_without_faults_nothing_fails_and_a_runner_that_is_killed_once_costs_no_candidate(self):
        once = self.folder / "once"
        once.touch()
        session = self.run_tuner(run={"group_block=32": f"once kill {once}"})
        self.assertFalse(once.exists())
        self.assertEqual(session.failures.new, [])
        self.assertEqual(session.given_up, {})
        self.assert_best_is_found(session)

    def test_values_in_use_that_do_not_run_end_the_search_of_their_kernel_alone(self):
        session = self.run_tuner([*ROWS, *OTHER_ROWS], run={"task_floats=32768": "crash"})
        self.assertEqual(list(session.given_up), [OTHER])
        self.assertTrue(any("normalize/last/f32 is left as it is" in line for line in session.progress.lines))
        self.assertEqual([slot for slot, _, _ in session.failures.new if slot == SLOT], [])
        self.assert_best_is_found(session)


class Outside(Runs):
    def test_a_compiler_that_fails_for_a_while_is_waited_for(self):
        self.run_tuner(seconds=0.1)  # the values in use are compiled
        broken = self.folder / "broken"
        broken.touch()
        session = self.run_tuner(mend=lambda text: broken.unlink() if "compiler fails" in text else None,
                                 compiler=str(broken))
        self.assertFalse(broken.exists())
        self.assertEqual(session.failures.new, [])
        self.assert_best_is_found(session)

    def test_a_connection_that_drops_is_waited_for(self):
        dropped, once = self.folder / "dropped", self.folder / "once"
        once.touch()
        ssh = self.folder / "ssh"
        ssh.write_text(f"""#!/bin/sh
            shift
            case "$*" in *measure*) [ -e {once} ] && rm {once} && touch {dropped} ;; esac
            [ -e {dropped} ] && echo 'ssh: connect to host board: No route to host' >&2 && exit 255
            exec sh -c "$*" """)
        ssh.chmod(0o755)
        session = self.run_tuner(runner=(str(ssh), "board"),
                                 mend=lambda text: dropped.unlink() if "No route to host" in text else None)
        self.assertFalse(once.exists() or dropped.exists())
        self.assertEqual(session.failures.new, [])
        self.assert_best_is_found(session)

    def test_a_connection_that_stays_away_ends_the_run_with_what_was_found(self):
        ssh = self.folder / "ssh"
        ssh.write_text("#!/bin/sh\necho 'ssh: connect to host board: No route to host' >&2; exit 255\n")
        ssh.chmod(0o755)
        builder = Builder(schedule_of_few_points(), self.folder, HERE / "tuner/compiler", HERE,
                          Toolchain(runner=(str(ssh), "board")), 2)
        measured, tries = measuring.Measuring(builder, Heard(), time.time() + 0.5), []

        def fails():
            tries.append(1)
            raise builder.outside(process.BuildError("lost"))

        with self.assertRaisesRegex(process.Outside, "board' does not answer: ssh: connect"):
            measured.patiently(fails)
        self.assertGreater(len(tries), 2)

    def test_a_full_disk_is_said_waited_for_and_loses_nothing(self):
        script = "import sys; from tests.check_tune_failures import full_disk; full_disk(sys.argv[1])"
        mounted = 'mount -t tmpfs -o size=4m none "$1" && exec "$2" -c "$3" "$1"'
        done = subprocess.run(["unshare", "-rm", "sh", "-c", mounted, "sh", self.folder, sys.executable, script],
                              capture_output=True, text=True)
        if "unshare" in done.stderr or "mount:" in done.stderr:
            self.skipTest(f"no file system can be mounted here: {done.stderr.strip()}")
        self.assertEqual(done.returncode, 0, done.stderr)


class Kept(Runs):
    def test_a_schedule_file_is_whole_or_as_it_was(self):
        path = self.folder / "target.json"
        path.write_text("old")
        (self.folder / ".target.json.new").symlink_to("/dev/full")
        with self.assertRaisesRegex(OSError, "No space left"):
            write(path, "new" * 10000)
        self.assertEqual(path.read_text(), "old")
        write(path, "new")
        self.assertEqual([path.name for path in self.folder.iterdir()], ["target.json"])
        self.assertEqual(path.read_text(), "new")

    def test_values_that_are_not_proven_do_not_stay(self):
        path, kept = self.folder / "target.json", self.folder / "kept"
        kept.mkdir()
        path.write_text("old")
        for failure in (process.BuildError("digests"), KeyboardInterrupt()):
            with self.assertRaises(type(failure)), in_place(path, "new", kept, lambda action: action()):
                self.assertEqual(path.read_text(), "new")
                raise failure
            self.assertEqual(path.read_text(), "old")
        with in_place(path, "new", kept, lambda action: action()):
            shutil.copytree(kept, self.folder / "killed")
        self.assertEqual(path.read_text(), "new")
        self.assertIsNone(restore(kept))
        self.assertEqual(restore(self.folder / "killed"), path)  # the next run, after one that was killed
        self.assertEqual(path.read_text(), "old")
        path.unlink()
        with self.assertRaises(KeyboardInterrupt), in_place(path, "new", kept, lambda action: action()):
            raise KeyboardInterrupt
        self.assertFalse(path.exists())

    def test_a_whole_run_writes_what_is_proven_and_takes_back_what_is_not(self):
        shapes, target = self.folder / "shapes.txt", self.folder / "schedules/x86-64-avx2.json"
        target.parent.mkdir()
        shapes.write_text("".join(f"{row.split('/')[4]} instance channels_first f32\n" for row in ROWS))
        options = argparse.Namespace(shapes=str(shapes), type=None, kernel=["normalize"], seed=0, runner=[],
                                     budget=1000, dry_run=False)
        schedule = schedule_of_few_points()
        before = schedule.text()
        target.write_text(before)
        builder = Builder(schedule, self.folder, HERE / "tuner/compiler", HERE, Toolchain(HERE / "tuner/linker"), 2)
        builder.library()
        to = TargetFile(schedule, None)
        to.schedule, to.path = schedule, target
        found = {"cpu": "a stand-in", "threads": 1}, None, Conditions()
        progress = Heard()
        progress.started, progress.deadline = time.time(), time.time() + 1000
        proof = mock.Mock(seconds=lambda *_: 0)
        with (mock.patch.object(main, "ROOT", self.folder),
              mock.patch.dict(os.environ, FAULTS=json.dumps({"run": {"group_block=32": "crash"}}))):
            proof.give.side_effect = lambda _: self.assertNotEqual(target.read_text(), before) or fail()
            with self.assertRaisesRegex(process.BuildError, "digests"):
                main.search(options, to, builder, proof, found, progress)
            self.assertEqual(target.read_text(), before)
            proof.give.side_effect = None
            main.search(options, to, builder, proof, found, progress)
        written = json.loads(target.read_text())
        self.assertEqual(written["kernels"]["normalize"]["small"] | BEST, written["kernels"]["normalize"]["small"])
        self.assertEqual(list(written["provenance"]["changed"]), [str(SLOT)])
        self.assertTrue((self.folder / "picture.png").read_bytes().startswith(b"\x89PNG"))
        self.assertFalse((self.folder / "unproven.json").exists())

    def test_a_journal_with_half_a_line_goes_on_from_the_lines_before(self):
        first = self.run_tuner()
        with open(self.folder / "journal.log", "a") as file:
            file.write('{"op_code": 4, "worker')
        second = self.run_tuner()
        self.assertEqual(second.searches[SLOT].tried, first.searches[SLOT].tried)
        self.assertTrue(any("22 bytes that are no journal" in line for line in second.progress.lines))
        self.assert_best_is_found(second)

    def test_one_target_is_tuned_by_one_tuner(self):
        held = journal.lock(self.folder)
        with self.assertRaisesRegex(ValueError, f"is being tuned by process {os.getpid()}"):
            journal.lock(self.folder)
        held.close()
        journal.lock(self.folder).close()

    def test_what_killed_tuners_left_is_removed(self):
        session = self.run_tuner()
        for name in ("runner_4194305_0", "runner_4194305_0.cpp", f"runner_{os.getpid()}_0"):
            (self.folder / name).touch()
        (self.folder / "tmpabc").mkdir()
        session.builder.sweep()
        self.assertEqual([path.name for path in self.folder.glob("runner_*")], [f"runner_{os.getpid()}_0"])
        self.assertFalse((self.folder / "tmpabc").exists())


def fail():
    raise process.BuildError("the results are not those of the digests")


def tuned(folder, rows, runner, progress, seconds):
    schedule = schedule_of_few_points()
    builder = Builder(schedule, folder, HERE / "tuner/compiler", HERE, Toolchain(HERE / "tuner/linker", (), runner), 2)
    builder.library()
    session = Session(schedule, builder, rows, set(rows), None, folder / "journal.log", {"cpu": "a stand-in"},
                      Conditions(), time.time() + seconds, lambda changed=0: 0, progress, 0, [])
    session.run_search()
    session.accepted, session.compared = session.final(session.validate())
    builder.close()
    return session


def full_disk(folder):
    """On a disk of 4 MB, where something else takes all that is left while the search runs."""
    folder, ballast = Path(folder), Path(folder) / "ballast"
    old = folder / "objects/tuned_old.o"
    old.parent.mkdir()
    old.write_bytes(bytes(20000))
    said = []

    def mend(text):
        said.append(text)
        if "free some space" in text:
            ballast.unlink(missing_ok=True)

    class Filling(Heard):
        def tried(self, count):
            if not said:
                with open(ballast, "wb", 0) as file:
                    try:
                        while True:
                            file.write(bytes(4096))
                    except OSError:
                        pass

    with mock.patch.object(measuring, "PAUSES", (0.1,)), mock.patch.dict(os.environ, FAULTS="{}", TMPDIR="/tmp"):
        session = tuned(folder, ROWS, (), Filling(mend), 300)
    assert any("the disk is full" in text for text in said), said  # old kernels make room first
    assert any("free some space there" in text for text in said), said
    assert not ballast.exists() and not old.exists()
    assert session.failures.new == [], session.failures.new
    assert session.accepted[SLOT][0] == BEST, session.accepted
    for line in (folder / "journal.log").read_text().splitlines():
        json.loads(line)


if __name__ == "__main__":
    unittest.main()
