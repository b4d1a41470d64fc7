"""What ./dev gpu promises: python -m unittest tests/check_gpu.py. The programs themselves run where HNORM_FAKE_CUDA is
a folder with a driver that computes nothing."""
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from bench.rows import ROOT
from gpu import __main__ as command
from gpu import arguments, candidates, report
from gpu.run import CUT_OFF, FAILED, PASSED, SKIPPED, Result, run_step
from gpu.steps import NAMES, Part, Plan, Step

FACTS = {"device": "a GPU", "date": "today"}


def rows(*times):
    """(name of the row and who, microseconds)"""
    return [{"name": name, "real_time": time} for name, time in times]


def shell(line, **more):
    return Part(["sh", "-c", line], **more)


class Steps(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.out = Path(scratch.name)

    def run_parts(self, limit, **parts):
        self.step = Step("step", "a step", limit, parts, together=2, of_bits=True)
        return run_step(self.step, self.out, limit, lambda result: None, lambda text: None)

    def test_each_part_ends_as_it_ends_and_none_stops_the_others(self):
        result = self.run_parts(
            20, crashes=shell("echo before; kill -SEGV $$"), fails=shell("exit 3"), is_none=Part(["/none"]),
            lies=shell("echo nothing", must_say="passed"), passes=shell("echo it has passed", must_say="passed"))
        self.assertEqual({name: (part.status, part.why) for name, part in result.parts.items() if name != "is_none"}, {
            "crashes": (FAILED, "it was ended by SIGSEGV"), "fails": (FAILED, "exit status 3"),
            "lies": (FAILED, "it did not say 'passed'"), "passes": (PASSED, "")})
        self.assertIn("it does not start", result.parts["is_none"].why)
        self.assertEqual(result.status, FAILED)
        self.assertEqual((self.out / "logs/step-crashes.log").read_text(), "before\n")

    def test_what_hangs_is_ended_with_all_that_it_has_started(self):
        result = self.run_parts(1, hangs=shell("sleep 1000 & echo $!; trap '' TERM; wait"), passes=shell("true"),
                                waits=shell("sleep 1000"), comes_late=shell("true"))
        self.assertEqual([result.parts[name].status for name in ("hangs", "passes", "waits", "comes_late")],
                         [CUT_OFF, PASSED, CUT_OFF, CUT_OFF])
        self.assertIn("it was not started", result.parts["comes_late"].why)
        self.assertEqual(result.status, CUT_OFF)
        started = int((self.out / "logs/step-hangs.log").read_text())
        self.assertFalse(_runs(started))

    def test_the_status_says_whether_bits_held(self):
        bits, other = Step("kernels", "", 1, {}, of_bits=True), Step("bench", "", 1, {})
        skipped = Step("graphs", "", 1, {}, of_bits=True, skip="there are none")
        for of_bits, of_other, status in ((PASSED, PASSED, 0), (FAILED, PASSED, 1), (CUT_OFF, PASSED, 1),
                                          (PASSED, FAILED, 3), (PASSED, CUT_OFF, 3), (PASSED, SKIPPED, 0)):
            results = {"kernels": Result(of_bits), "bench": Result(of_other), "graphs": Result(SKIPPED)}
            self.assertEqual(command.exit_status([bits, other, skipped], results), status)
        self.assertEqual(command.exit_status([skipped, other], {"bench": Result(PASSED)}), 1, "nothing was shown")

    def test_a_run_that_is_killed_leaves_its_figures_and_no_process(self):
        code = """
import sys, pathlib
from gpu import report
from gpu.run import run_step
from gpu.steps import Part, Step
out = pathlib.Path(sys.argv[1])
row = '{"benchmarks": [{"name": "forward/batch/channels_first/f32/2x3/cuda/tuned", "real_time": 12.5}]}'
first = Step("bench_f32", "times", 9, {"bench": Part(["sh", "-c", f"echo '{row}' >{out}/rows.json"])}, rows="rows.json")
second = Step("kernels", "bits", 99, {"hangs": Part(["sh", "-c", "echo $$; exec sleep 1000"])}, of_bits=True)
results = {}
for step in (first, second):
    def changed(result, step=step):
        results[step.name] = result
        report.write(out, {"device": "a GPU"}, [first, second], results)
    run_step(step, out, step.limit, changed, print)
"""
        process = subprocess.Popen([sys.executable, "-c", code, str(self.out)], cwd=ROOT,
                                   env=os.environ | {"PYTHONPATH": str(ROOT)})
        log = self.out / "logs/kernels-hangs.log"
        _wait_for(lambda: log.exists() and log.read_text().strip())
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        hung = int(log.read_text())
        _wait_for(lambda: not _runs(hung))
        written = json.loads((self.out / "report.json").read_text())
        self.assertEqual([step["status"] for step in written["steps"]], ["passed", "running"])
        self.assertEqual(written["steps"][0]["rows"][0]["real_time"], 12.5)
        self.assertIn("| 2, 3 | - | 12.5 |", (self.out / "report.md").read_text())


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def _wait_for(condition):
    for _ in range(300):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it has not come about within 30 s")


class Arguments(unittest.TestCase):
    def test_a_refusal_names_argument_value_and_what_is_allowed(self):
        def none(device):
            raise OSError("it is not here")

        for given, device_of, words in (
                (["--device", "tpu"], str, ("argument --device: 'tpu' is none of cuda, opencl",)),
                (["--steps", "kernels,bits"], str, ("argument --steps: 'bits' is none of kernels, bench_f32",)),
                (["--limit", "0"], str, ("argument --limit: '0' is no number from 1 to 86400",)),
                (["--pack", "gpu.zip"], str, ("argument --pack: 'gpu.zip' does not end with .tar.xz",)),
                (["--pack", "/none/gpu.tar.xz"], str, ("'/none/gpu.tar.xz' is in no folder that there is",)),
                (["--candidates", "3"], str, ("--candidates goes with --pack alone",)),
                (["--out", "/dev/null/results"], str, ("--out is '/dev/null/results': it cannot be made",)),
                ([], none, ("there is no cuda device here: it is not here", "--pack makes an archive"))):
            said = io.StringIO()
            with contextlib.redirect_stderr(said), self.assertRaises(SystemExit) as exit_:
                arguments.parse(given, device_of)
            self.assertEqual(exit_.exception.code, 2)
            for word in words:
                self.assertIn(word, said.getvalue())

    def test_the_names_of_steps_are_those_of_the_plan(self):
        with tempfile.TemporaryDirectory() as out:
            for brief in (False, True):
                steps = Plan("cuda", brief, Path(out)).steps()
                self.assertEqual(tuple(step.name for step in steps), NAMES)
                self.assertTrue(all(step.parts for step in steps))


class Report(unittest.TestCase):
    def test_a_table_says_who_is_the_fastest_and_where_hnorm_is_behind(self):
        base = "forward/batch/channels_first/f32"
        text = "\n".join(report.times(rows(
            (f"{base}/8x4x9x9/cuda/tuned", 10), (f"{base}/8x4x9x9/peer/pytorch", 20),
            (f"{base}/8x4x9x9/peer/cudnn", 15), (f"{base}/8x4x9x9/copy/floor", 8), (f"{base}/2x3/cuda/tuned", 9),
            (f"{base}/2x3/peer/pytorch", 6))))
        self.assertIn("| 8, 4, 9, 9 | 8 | **10** / 20 / 15 |", text)
        self.assertIn("| 2, 3 | - | 9 / 6 |", text)
        self.assertIn(f"Ahead of pytorch in 1 of 2 rows. Behind, with the times' ratio: {base[:-4]}/2x3 (1.50).", text)
        self.assertIn("Ahead of cudnn in 1 of 1 rows.", text)
        self.assertIn("forward, batch, channels_first: 1.25 of the copy's time", text)

    def test_the_best_candidate_is_no_refused_one_and_has_its_point(self):
        ratios = {"candidate_0": [[1.5] * 9], "candidate_1": [[1.2] * 9, [1.2] * 9], "candidate_2": [[0.9] * 9]}
        points = [{"knob": 1}, {"knob": 2}]  # of the third there is none: the kernel is as it was
        best = candidates.best_of(ratios, points, {"candidate_0": "other bits"})
        self.assertEqual((best["point"], best["candidates"]), ({"knob": 2}, 1))
        self.assertAlmostEqual(best["speed"][0], 1.2)
        self.assertIsNone(candidates.best_of(ratios, [], {}))


@unittest.skipUnless(os.environ.get("HNORM_FAKE_CUDA"), "HNORM_FAKE_CUDA names no driver that computes nothing")
class Programs(unittest.TestCase):
    def test_with_a_driver_that_computes_nothing_all_runs_and_the_bits_do_not_hold(self):
        with tempfile.TemporaryDirectory() as out:
            result = subprocess.run(
                [sys.executable, "-m", "gpu", "--brief", "--out", out, "--steps", "kernels,bench_f32,graphs"], cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT), "LD_LIBRARY_PATH": os.environ["HNORM_FAKE_CUDA"]},
                capture_output=True, text=True)
            self.assertEqual(result.returncode, 1, result.stderr)
            steps = {step["name"]: step for step in json.loads((Path(out) / "report.json").read_text())["steps"]}
            text = (Path(out) / "report.md").read_text()
        self.assertEqual({name: step["status"] for name, step in steps.items()},
                         {"kernels": FAILED, "bench_f32": PASSED, "graphs": FAILED}, text)
        self.assertGreater(len(steps["bench_f32"]["rows"]), 10)
        self.assertIn("# hnorm on a GPU that is none, CUDA 13.0", text)
        self.assertIn("OTHER BITS than the CPU's", text)


if __name__ == "__main__":
    unittest.main()
