"""What the tuner promises of itself, without a compiler or a clock: python -m unittest tests/check_tune.py"""
import itertools
import json
import math
import random
import unittest

from bench import estimate
from tune.schedule import Schedule, known_targets
from tune.space import Manifest, Slot

CPUS, DEVICES = ([Schedule.of_target(target, Manifest(devices)) for target in known_targets(devices)]
                 for devices in (False, True))
SCHEDULES = CPUS + DEVICES


class Space(unittest.TestCase):
    def test_every_schedule_file_is_legal(self):
        for schedule in SCHEDULES:
            self.assertEqual(schedule.problems(), [], schedule.target)

    def test_proposals_defaults_and_neighbours_are_legal(self):
        for schedule in SCHEDULES:
            space, of_its_kind = schedule.space, DEVICES if schedule.device else CPUS
            for slot in schedule.manifest.slots():
                points = [space.default(slot), *(space.random_point(slot, seed) for seed in range(5))]
                points += [space.nearest(slot, other.point(slot)) for other in of_its_kind]
                for point in points:
                    self.assertIsNone(space.problem(slot, point), point)

    def test_a_refusal_names_knob_value_and_what_is_allowed(self):
        space, slot = CPUS[-1].space, Slot("moments", "large", "f32")
        self.assertIn("knob vector is 5: it must be one of 4, 8", space.problem(slot, {"vector": 5}))
        self.assertIn("knob group_block does not concern it", space.problem(slot, {"group_block": 4}))
        self.assertIn("knob lane_block is 4: it must be at least vector, which is 8",
                      space.problem(slot, {"vector": 8, "lane_block": 4}))

    def test_a_block_has_no_more_threads_than_devices_have(self):
        space = DEVICES[0].space
        blocks, products_refused = space.data["blocks"], set()
        for slot in DEVICES[0].manifest.slots():
            knobs, allowed = space.knobs(slot), 0
            for knob, other in blocks["products"]:
                if knob not in knobs:
                    continue
                for value, factor in itertools.product(knobs[knob], knobs.get(other, [blocks["lanes"][slot.planes]])):
                    problem = space.problem(slot, {knob: value} | ({other: factor} if other in knobs else {}))
                    if value * factor > blocks["threads"]:
                        most = blocks["threads"] // factor
                        self.assertIn(f"{slot}: knob {knob} is {value}: it must be at most {most} where {other} is "
                                      f"{factor}: a block has at most", problem)
                        products_refused.add((knob, other))
                    allowed += problem is None
            self.assertTrue(allowed, slot)
        self.assertEqual(products_refused, {tuple(product) for product in blocks["products"]})
        self.assertIn("knob store_rows does not concern it",
                      space.problem(Slot("moments", "last", "f32"), {"store_rows": 4}))


class Files(unittest.TestCase):
    def test_a_new_point_changes_its_slot_alone(self):
        for schedule in SCHEDULES:
            slots = schedule.manifest.slots()
            for seed, slot in enumerate(random.Random(1).sample(slots, 20)):
                point = schedule.space.random_point(slot, seed)
                new = schedule.with_points({slot: point})
                for other in slots:
                    self.assertEqual(new.point(other), point if other == slot else schedule.point(other), (slot, other))

    def test_text_is_the_data(self):
        for schedule in SCHEDULES:
            self.assertEqual(json.loads(schedule.text()), schedule.data)

    def test_an_unknown_target_is_refused_with_those_there_are(self):
        with self.assertRaisesRegex(ValueError, "target x86: schedules/ has .*x86-64-avx2.*cuda, opencl"):
            Schedule.of_target("x86", Manifest())


class Devices(unittest.TestCase):
    def test_a_kernel_serves_the_tiny_planes_that_have_none_of_their_own(self):
        manifest = Manifest(devices=True)
        served = {"normalize/small": ["small", "tiny"], "normalize/last": ["last"], "moments/small": ["small"]}
        for slot in manifest.slots():
            expected = served.get(f"{slot.kernel}/{slot.planes}")
            if expected:
                self.assertEqual(manifest.served(slot), expected)

    def test_cpus_and_devices_have_files_of_their_own(self):
        self.assertEqual([schedule.target for schedule in DEVICES], ["cuda", "opencl"])
        self.assertFalse({schedule.target for schedule in CPUS} & {"cuda", "opencl"})


class Estimates(unittest.TestCase):
    def test_the_interval_holds_the_median_as_often_as_it_says(self):
        draw, rounds, held = random.Random(1), 2000, 0
        for _ in range(rounds):
            values = [math.exp(0.1 * draw.gauss(0, 1)) * (5 if draw.random() < 0.05 else 1) for _ in range(15)]
            low, _, high = estimate.interval(values)
            held += low <= math.exp(0.1 * 0.066) <= high  # the median of this mixture: its quantile 0.5/0.95 below
        self.assertGreater(held / rounds, 0.94)

    def test_better_needs_proof_and_no_slower_row(self):
        draw = random.Random(2)

        def row(middle, count=15):
            return [middle * (1 + 0.01 * draw.gauss(0, 1)) for _ in range(count)]

        self.assertTrue(estimate.proven_better([row(1.05), row(1.0)]))
        self.assertFalse(estimate.proven_better([row(1.0), row(1.0)]))
        self.assertFalse(estimate.proven_better([row(1.5), row(0.95)]))
        self.assertTrue(estimate.proven_slower(row(0.95)))
        self.assertFalse(estimate.proven_slower(row(0.98)))


if __name__ == "__main__":
    unittest.main()
