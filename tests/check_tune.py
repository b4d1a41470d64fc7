"""What the tuner promises of itself, without a compiler or a clock: python -m unittest tests/check_tune.py"""
import json
import math
import random
import tempfile
import unittest
from pathlib import Path

from tune import estimate
from tune.rows import MAIN_OPS, RowError, read_shapes, rows
from tune.schedule import Schedule, known_targets
from tune.space import Manifest, Slot

MANIFEST = Manifest()
SCHEDULES = [Schedule.of_target(target, MANIFEST) for target in known_targets()]


class Space(unittest.TestCase):
    def test_every_schedule_file_is_legal(self):
        for schedule in SCHEDULES:
            self.assertEqual(schedule.problems(), [], schedule.target)

    def test_proposals_defaults_and_neighbours_are_legal(self):
        for schedule in SCHEDULES:
            space = schedule.space
            for slot in MANIFEST.slots():
                points = [space.default(slot), *(space.random_point(slot, seed) for seed in range(5))]
                points += [space.nearest(slot, other.point(slot)) for other in SCHEDULES]
                for point in points:
                    self.assertIsNone(space.problem(slot, point), point)

    def test_a_refusal_names_knob_value_and_what_is_allowed(self):
        space, slot = SCHEDULES[-1].space, Slot("forward", "large", "f32")
        self.assertIn("knob vector is 5: it must be one of 4, 8", space.problem(slot, {"vector": 5}))
        self.assertIn("knob group_block does not concern it", space.problem(slot, {"group_block": 4}))
        self.assertIn("knob lane_block is 4: it must be at least vector, which is 8",
                      space.problem(slot, {"vector": 8, "lane_block": 4}))


class Files(unittest.TestCase):
    def test_a_new_point_changes_its_slot_alone(self):
        for schedule in SCHEDULES:
            for seed, slot in enumerate(random.Random(1).sample(MANIFEST.slots(), 20)):
                point = schedule.space.random_point(slot, seed)
                new = schedule.with_points({slot: point})
                for other in MANIFEST.slots():
                    self.assertEqual(new.point(other), point if other == slot else schedule.point(other), (slot, other))

    def test_text_is_the_data(self):
        for schedule in SCHEDULES:
            self.assertEqual(json.loads(schedule.text()), schedule.data)


class Shapes(unittest.TestCase):
    def read(self, text):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "shapes.txt"
            path.write_text(text)
            return read_shapes(path)

    def test_words_narrow_a_shapes_rows(self):
        lines = self.read("2x3x4x5 instance channels_first f32  # a comment\n\n8x16\n")
        self.assertEqual(rows(lines[:1], MAIN_OPS), [f"{op}/instance/channels_first/f32/2x3x4x5" for op in MAIN_OPS])
        self.assertTrue(all("/batch/" in row for row in rows(lines[1:], MAIN_OPS)), "groups of one element")

    def test_errors_name_line_and_word(self):
        for text, words in (("2x0x4\n", "line 1: '2x0x4' is no shape"), ("\n2x3 nhwc\n", "line 2: 'nhwc' is no group"),
                            ("# nothing\n", "names no shape")):
            with self.assertRaisesRegex(RowError, words):
                self.read(text)


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
