"""What ./dev bench --against promises, without a clock: python -m unittest tests/check_against.py"""
import json
import math
import random
import stat
import subprocess
import sys
import tempfile
import unittest
from collections import Counter
from pathlib import Path

from bench import estimate
from bench.against import compare, decision, reference
from bench.against.decision import FASTER, SAME, SLOWER, UNDECIDED
from bench.rows import ROOT


def verdicts(speeds, seed, noise, burst=0.1):
    """Of rows that are so many times as fast, as against_commit() finds them. noise: of a look, of where code lies; in
    some looks another program is in the way of one of the two."""
    random_, levels = random.Random(seed), decision.Levels(len(speeds), len(compare.LOOKS))

    def look(speed):
        disturbed = random_.choice((0.5, 0.8, 1.3, 2)) if random_.random() < burst else 1
        return speed * disturbed * math.exp(random_.gauss(0, noise))

    found = []
    for speed in speeds:
        ratios, verdict = [], UNDECIDED
        for until in compare.LOOKS:
            if verdict == UNDECIDED:
                ratios += [look(speed) for _ in range(until - len(ratios))]
                verdict = decision.verdict(ratios, 1e-3, levels)
        found.append(verdict)
    return found



class Decision(unittest.TestCase):
    def test_a_library_beside_itself_is_the_same_in_every_row_in_three_runs(self):
        for seed in range(3):
            self.assertEqual(Counter(verdicts([1.0] * 150, seed, 0.02)), {SAME: 150})

    def test_a_kernel_slowed_by_5_percent_is_slower_in_its_rows_alone(self):
        speeds = [1 / 1.05 if row % 10 == 0 else 1.0 for row in range(150)]
        for seed in range(3):
            for row, verdict in enumerate(verdicts(speeds, seed, 0.02)):
                self.assertEqual(verdict, SLOWER if row % 10 == 0 else SAME, row)

    def test_a_row_that_is_faster_is_said_to_be(self):
        self.assertEqual(verdicts([1.06, 1.0, 2.0], 1, 0.03), [FASTER, SAME, FASTER])

    def test_where_noise_hides_the_difference_nothing_is_claimed(self):
        self.assertEqual(set(verdicts([1.0, 0.97, 1.0] * 5, 1, 1.0)), {UNDECIDED})

    def test_a_difference_beyond_the_bound_is_hardly_ever_called_none(self):
        found = Counter(verdicts([decision.BOUND, 1 / decision.BOUND] * 100, 1, 0.03))
        self.assertLess(found[SAME], 200 * decision.DOUBT)
        self.assertEqual(found[SLOWER] + found[FASTER], 0, "they are at the bounds, not beyond")

    def test_the_bounds(self):
        for ratios, verdict in (([0.98, 1.02], SAME), ([0.90, 0.96], SLOWER), ([1.04, 1.10], FASTER),
                                ([0.96, 1.01], UNDECIDED), ([0.99, 1.05], UNDECIDED), ([0.5, 2], UNDECIDED)):
            self.assertEqual(decision.verdict(ratios * 20, 1e-3, decision.Levels(1, 1)), verdict)

    def test_a_difference_of_a_few_nanoseconds_is_none(self):
        levels = decision.Levels(1, 1)
        for speed, seconds, verdict in ((0.92, 400e-9, SAME), (1.08, 400e-9, SAME), (0.92, 1e-6, SLOWER),
                                        (0.8, 100e-9, SAME), (0.8, 400e-9, SLOWER), (1.2, 400e-9, FASTER)):
            self.assertEqual(decision.verdict([speed] * 20, seconds, levels), verdict)

    def test_few_looks_decide_nothing_however_alike_they_are(self):
        levels = decision.Levels(100, 1)
        self.assertEqual(decision.verdict([1.0] * 5, 1e-3, levels), UNDECIDED)
        self.assertEqual(decision.verdict([1.0] * 6, 1e-3, levels), SAME)
        self.assertEqual(decision.verdict([0.5] * 11, 1e-3, levels), UNDECIDED)
        self.assertEqual(decision.verdict([0.5] * 12, 1e-3, levels), SLOWER)

    def test_intervals_of_many_rounds_are_those_of_the_binomial_distribution(self):
        for count in (999, 1001, 5000):
            cut, tail = -1, 0
            while 40 * (tail + math.comb(count, cut + 1)) <= 2**count:  # in whole numbers, exactly
                cut += 1
                tail += math.comb(count, cut)
            low, middle, high = estimate.interval(range(count))
            self.assertEqual((low, middle, high), (cut, (count - 1) / 2, count - 1 - cut))

    def test_the_exit_status_tells_slower_from_undecided(self):
        for found, status in (([SAME, FASTER], 0), ([SAME, UNDECIDED], 4), ([UNDECIDED, SLOWER], 3)):
            self.assertEqual(decision.exit_status(found), status)


class Files(unittest.TestCase):
    CONTEXT = {"cpu_name": "a CPU", "hnorm_threads": "2", "hnorm_target": "x86-64-avx2"}

    def entry(self, row, of_floor):
        return {"name": f"{row}/x86-64-avx2/tuned", "of_floor_lo": of_floor * 0.99, "of_floor": of_floor,
                "of_floor_hi": of_floor * 1.01, "real_time": 5.0, "rounds": 20}

    def compared(self, text, found=()):
        said = []
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "before.json"
            path.write_text(text)
            return compare.against_file(found, self.CONTEXT, path, said.append), said

    def test_rows_are_compared_by_their_ratio_to_the_copy(self):
        rows = [f"forward/batch/channels_first/f32/{shape}" for shape in ("2x3", "4x5", "6x7", "8x9")]
        before = {"context": self.CONTEXT, "benchmarks": [self.entry(row, 0.5) for row in rows[:3]]}
        now = [self.entry(row, of_floor) for row, of_floor in zip(rows, (0.5, 0.4, 0.6, 0.5))]
        entries, said = self.compared(json.dumps(before), now)
        self.assertEqual([entry["verdict"] for entry in entries], [SAME, SLOWER, FASTER])
        self.assertIn("weaker", said[0])
        self.assertIn("8x9", said[1])

    def test_what_cannot_be_compared_is_refused(self):
        other = {"context": self.CONTEXT | {"cpu_name": "another"}, "benchmarks": [self.entry("a/b/c/f32/2x3", 1)]}
        none = {"context": self.CONTEXT, "benchmarks": [self.entry("a/b/c/f32/2x3", 1)]}
        for text, words in (("{", "no file of ./dev bench --json"), ("[]", "no file of ./dev bench --json"),
                            (json.dumps(other), "its cpu_name is 'another', and here it is 'a CPU'"),
                            (json.dumps(none), "none of the rows that were timed")):
            with self.assertRaisesRegex(ValueError, words):
                self.compared(text)


class Reference(unittest.TestCase):
    def test_a_commit_that_there_is_none_of_is_refused_by_name(self):
        with self.assertRaisesRegex(ValueError, "--against is 'no-such-branch': it must be a file of --json, or a co"):
            reference.commit_of("no-such-branch")

    def test_a_kernel_with_the_same_arguments_is_copied_and_another_compiled(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            compiler, program = folder / "compiler", folder / "hnorm_generators"
            compiler.write_text('#!/bin/sh\necho compiled "$@"\n')
            program.write_text((ROOT / "bench/against/kernels_again.py").read_text())
            for file in (compiler, program):
                file.chmod(file.stat().st_mode | stat.S_IXUSR)
            for ending in ("o", "stmt", "h"):
                (folder / f"hnorm_kernel_a.{ending}").write_text(ending)
            arguments = ["-g", "moments", "-f", "hnorm_kernel_a", "-o", "there", "-e", "object", "vector=8"]
            (folder / "known.json").write_text(json.dumps({
                "generators": str(compiler), "kernels": str(folder),
                "arguments": {"hnorm_kernel_a": reference.without_folder(arguments)}}))
            there = folder / "there"
            there.mkdir()

            def run(*words):
                return subprocess.run([sys.executable, program, *words], cwd=folder, capture_output=True, text=True,
                                      check=True).stdout

            self.assertEqual(run(*arguments), "")
            self.assertEqual((there / "hnorm_kernel_a.o").read_text(), "o")
            self.assertIn("compiled -g moments", run(*arguments[:-1], "vector=16"))
            self.assertIn("compiled -r halide_runtime", run("-r", "halide_runtime", "-o", "there"))


if __name__ == "__main__":
    unittest.main()
