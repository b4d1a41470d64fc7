"""What the tuner's model promises, on recorded lines, without an emulator or a clock: python -m unittest
tests/check_model.py"""
import json
import math
import shutil
import unittest
from pathlib import Path
from unittest.mock import Mock

from tune.model import cycles, ranks, trace
from tune.model.climb import climb, neighbours, starts
from tune.model.model import CHANNELS, CHECKED, KNOBS, TRUSTED, Judged, Model, judged_knobs, points, trusted
from tune.schedule import Schedule, known_targets
from tune.space import Manifest, Slot

CPUS = [Schedule.of_target(target, Manifest()) for target in known_targets()]

NAMES = """\
000000000042a540 0000000000000100 T tuned_moments_large_f32_0ce0
000000000042a4b0 0000000000000090 T tuned_moments_large_f32_0ce0_par_for_runs_s0_g1
000000000042bf68 0000000000000010 D tuned_moments_large_f32_0ce0_argv
000000000042dfd8 0000000000000200 t tuned_moments_large_f32_9110
                 U abort
"""
TRACE = """\
Trace 0: 0x7fae6859aa40 [0000000001009b31/000000000042a4b0/00000001/00000201] tuned_moments_large_f32_0ce0_par_for
qemu: a line of another kind
Trace 0: 0x7fae6859ab80 [0000000001009331/000000000042a4b4/00000001/00000201] tuned_moments_large_f32_0ce0_par_for
Trace 0: 0x7fae6859acc0 [0000000001009331/000000000042dfd8/00000001/00000201] tuned_moments_large_f32_9110
Trace 0: 0x7fae6859ab80 [0000000001009331/000000000042a4b4/00000001/00000201] tuned_moments_large_f32_0ce0_par_for
Trace 0: 0x7fae685ce140 [0000000001009331/000000000042dfb0/00000001/00000201] halide_do_par_for
"""
ARM = """\
runner:	file format elf64-littleaarch64

000000000042a338 <tuned_backward_apply_small_f32_0be8>:
  42a33c:      	ldrb	w8, [x2, #0xab]
  42a3bc:      	adrp	x1, 0x60e000 <tunable_list+0x5c8>
  42a41c:      	bl	0x45067c <halide_do_par_for>
  42a42c:      	stp	d15, d14, [sp, #-0xa0]!
  42a554:      	b.gt	0x42a578 <tuned_backward_apply_small_f32_0be8+0x14c>
  42a560:      	cbz	w8, 0x42cbec <tuned_backward_apply_small_f32_0be8+0x27c0>
  42a570:      	sub	x9, x9, #0x10
"""
X86 = """\
  43b356:      	vmovd	%xmm3, %eax
  43b3d5:      	vpshufb	0x197682(%rip), %xmm4, %xmm4 # 0x5d2a60 <_ZN5hnorm6detailL4kOneE+0x290>
  43b405:      	vmovd	0xd8(%rsp), %xmm4
  43b40e:      	jne	0x43b356 <tuned_moments_large_f32_73f6+0x40>
  43b414:      	shlq	$0xa, %rdx
"""


class Trace(unittest.TestCase):
    def test_a_kernel_is_its_function_and_its_parallel_loops(self):
        functions = trace.parse_names(NAMES)
        self.assertEqual(trace.span(functions, "tuned_moments_large_f32_0ce0"), (0x42a4b0, 0x42a640))
        self.assertEqual(trace.span(functions, "tuned_moments_large_f32_9110"), (0x42dfd8, 0x42e1d8))
        with self.assertRaisesRegex(Exception, "no function tuned_moments_large_f32_0c"):
            trace.span(functions, "tuned_moments_large_f32_0c")

    def test_each_kernel_gets_its_instructions_in_their_order(self):
        ranges = [(0x42a4b0, 0x42a640, "one"), (0x42dfd8, 0x42e1d8, "other")]
        found, other = trace.parse_trace(TRACE.splitlines(), ranges)
        self.assertEqual(found, {"one": [0x42a4b0, 0x42a4b4, 0x42a4b4], "other": [0x42dfd8]})
        self.assertEqual(other, ["qemu: a line of another kind"])

    def test_addresses_of_code_and_constants_are_left_out_and_all_else_stays(self):
        self.assertEqual([*trace.parse_disassembly(ARM).values()], [
            "ldrb\tw8, [x2, #0xab]", "adrp\tx1, 0", "bl\t0", "stp\td15, d14, [sp, #-0xa0]!", "b.gt\t0", "cbz\tw8, 0",
            "sub\tx9, x9, #0x10"])
        self.assertEqual(trace.parse_disassembly(X86), {
            0x43b356: "vmovd\t%xmm3, %eax", 0x43b3d5: "vpshufb\t0(%rip), %xmm4, %xmm4",
            0x43b405: "vmovd\t0xd8(%rsp), %xmm4", 0x43b40e: "jne\t0", 0x43b414: "shlq\t$0xa, %rdx"})

    def test_a_missing_tool_is_named_with_its_package(self):
        with self.assertRaisesRegex(ValueError, f"llvm-nothing-{trace.LLVM}: .* package llvm-{trace.LLVM}"):
            trace.llvm_tool("llvm-nothing")


@unittest.skipUnless(shutil.which(f"llvm-mca-{trace.LLVM}"),
                     f"no llvm-mca-{trace.LLVM}, which ./dev tune --model installs")
class Cycles(unittest.TestCase):
    """Against the manuals of the CPUs: an addition of floats takes two cycles, and the pipes do two or four at once."""

    def test_a_chain_takes_its_latencies(self):
        chain = ["fadd\tv0.4s, v0.4s, v1.4s"] * 200
        for cpu in cycles.MODELS["arm-64"]:
            self.assertAlmostEqual(cycles.cycles(chain, "arm-64", cpu) / 200, 2, delta=0.1)

    def test_what_is_independent_fills_the_pipes(self):
        lines = [f"fadd\tv{i % 16}.4s, v30.4s, v31.4s" for i in range(400)]
        for cpu, pipes in (("neoverse-n1", 2), ("neoverse-v1", 4)):
            self.assertAlmostEqual(400 / cycles.cycles(lines, "arm-64", cpu), pipes, delta=0.2)

    def test_a_call_costs_what_it_calls_alone(self):
        code = ["fadd\tv0.4s, v0.4s, v1.4s"] * 20
        self.assertEqual(cycles.cycles([*code, "bl\t0", "ret", *code], "arm-64", "neoverse-n1"),
                         cycles.cycles(code + code, "arm-64", "neoverse-n1"))

    def test_code_that_llvm_does_not_know_is_an_error(self):
        with self.assertRaisesRegex(Exception, "nonsense"):
            cycles.cycles(["nonsense\tx0"], "arm-64", "neoverse-n1")


class Ranks(unittest.TestCase):
    def test_known_correlations(self):
        self.assertAlmostEqual(ranks.spearman([1, 2, 3, 4], [10, 20, 400, 401]), 1)
        self.assertAlmostEqual(ranks.spearman([1, 2, 3, 4], [4, 3, 2, 1]), -1)
        self.assertAlmostEqual(ranks.spearman([1, 2, 2, 3], [1, 2, 3, 4]), 0.9486833)  # 2 and 3 share the place 2.5
        self.assertTrue(math.isnan(ranks.spearman([1, 1, 1], [1, 2, 3])))

    def test_pairs_that_are_apart_agree_or_do_not(self):
        self.assertEqual(ranks.agreeing([0, 0.01, 0.2], [0, 0.5, 0.3], apart=0.05), (1, 2))

    def test_candidates_of_the_same_code_are_one(self):
        self.assertEqual(sorted(ranks.merged([("a", (1, 2)), ("b", (5, 6)), ("a", (3, 4))])), [(2, 3), (5, 6)])


class Choice(unittest.TestCase):
    def test_points_are_legal_and_differ_by_what_the_model_knows(self):
        for schedule in CPUS:
            space = schedule.space
            for slot in schedule.manifest.slots():
                base = schedule.point(slot)
                first, *others = points(space, slot, base)
                self.assertEqual(first, base)
                self.assertNotIn(base, others)
                for point in others:
                    self.assertIsNone(space.problem(slot, point), point)
                    changed = {name for name in point if point[name] != base[name]}
                    self.assertLessEqual(changed, set(KNOBS))
                    self.assertTrue(all(point[name] >= space.vector for name in changed & set(space.vectors)))
                    self.assertTrue("channel_block" not in changed or point["channel_block"] in CHANNELS)
                    if slot.planes != "tiny":
                        self.assertLessEqual(point.get("group_block", 0), base.get("group_block", 0))

    def test_a_climb_ends_on_the_top_and_stays_on_a_tie(self):
        space, slot = CPUS[0].space, Slot("moments", "small", "f32")
        base = CPUS[0].point(slot)
        knobs = judged_knobs(space, slot, base)
        top = base | {name: values[-1] for name, values in knobs.items()}

        def scores(points_):
            return [sum(math.log(point[name] / base[name]) for name in knobs) for point in points_]

        around = lambda point: neighbours(space, slot, knobs, point)  # noqa: E731
        self.assertEqual(climb(starts(space, slot, knobs, base), around, scores), top)
        self.assertEqual(climb([base], around, lambda points_: [0.004 * (point != base) for point in points_]), base)

    def test_half_is_the_cycles_and_half_the_instructions(self):
        model = Model(CPUS[0], Mock(folder=Path("/nonexistent")), 1)
        before = Judged((), [100, 100], {cpu: [100, 400] for cpu in model.cpus})
        after = Judged((), [50, 100], {cpu: [100, 100] for cpu in model.cpus})
        self.assertAlmostEqual(model.score(before, after), math.log(2) * (0.5 + 1) / 2)
        for speed, expected in zip(model.speeds(before, after), (math.sqrt(2), 2)):
            self.assertAlmostEqual(speed, expected)

    def test_only_what_was_checked_is_judged(self):
        kernels = json.loads(CHECKED.read_text())["kernels"]
        slots = {str(slot) for slot in Manifest().slots()}
        self.assertLessEqual(set(kernels), slots)
        self.assertTrue(all(kernels[name]["correlation"] >= TRUSTED for name in trusted()))
        for schedule in CPUS:
            provenance = schedule.data.get("provenance", {})
            if provenance.get("method", "").startswith("modelled"):
                self.assertLessEqual(set(provenance["changed"]), trusted(), schedule.target)


class Refusals(unittest.TestCase):
    def test_what_a_model_cannot_do_is_refused_before_anything_is_made(self):
        try:
            from tune.model.session import tune
        except ImportError as error:
            self.skipTest(f"{error}: ./dev tune installs it")
        devices = {schedule.target: schedule for schedule in
                   (Schedule.of_target(target, Manifest(devices=True)) for target in known_targets(devices=True))}
        cpus = {schedule.target: schedule for schedule in CPUS}
        for schedule, given, message in (
                (devices["cuda"], {}, "no CPU of target cuda: its targets are of arm-64, x86-64"),
                (cpus["arm-64"], {"runner": ["ssh", "board"]}, "--model takes no --runner"),
                (cpus["arm-64"], {"pack": "mine"}, "--model takes no --pack"),
                (cpus["arm-64"], {"shapes": "vgg"}, "--model takes no --shapes"),
                (cpus["x86-64-avx2"], {}, "x86-64-avx2.json has measured values, which a model does not replace")):
            options = Mock(**{"runner": [], "shapes": "standard", "pack": None} | given)
            with self.assertRaisesRegex(ValueError, message):
                tune(schedule, options, "c++", 0)


if __name__ == "__main__":
    unittest.main()
