"""What ./dev bench promises of its arguments and rows, without a clock: python -m unittest tests/check_bench.py"""
import contextlib
import io
import math
import tempfile
import unittest
from pathlib import Path

from bench import grid
from bench.arguments import needs, parse
from bench.rows import GROUPS, MAIN_OPS, OPERATIONS, ROOT, Row, RowError, computes, read_shapes, rows


class Arguments(unittest.TestCase):
    def test_a_refusal_names_argument_value_and_what_is_allowed(self):
        for arguments, words in (
                (["--op", "momnts"], ("argument --op: 'momnts' is none of forward, ", ", copy")),
                (["--group", "groups0"], ("argument --group: 'groups0' is none of batch, instance", "groups32")),
                (["--layout", "nhwc"], ("argument --layout: 'nhwc' is none of channels_first, channels_last",)),
                (["--type", "f64"], ("argument --type: 'f64' is none of f32, f16, bf16",)),
                (["--variants", "fast"], ("argument --variants: 'fast' is none of tuned, untuned",)),
                (["--data", "zeros,ones"], ("argument --data: 'ones' is none of normal,",)),
                (["--device", "tpu"], ("argument --device: 'tpu' is none of cuda, opencl",)),
                (["--shapes", "resnet51"], ("--shapes is resnet51: neither a file nor one of cyclegan",)),
                (["--json", "/dev/null/rows.json"], ("--json is '/dev/null/rows.json': it cannot be written",)),
                (["--grid", "--peers"], ("--grid goes without --peers",)),
                (["--grid", "--op", "moments"], ("argument --op: 'moments' is none of forward, backward",)),
                (["--verbose"], ("unrecognized arguments: --verbose", "./dev bench --help"))):
            said = io.StringIO()
            with contextlib.redirect_stderr(said), self.assertRaises(SystemExit) as exit_:
                parse(arguments)
            self.assertEqual(exit_.exception.code, 2)
            for word in words:
                self.assertIn(word, said.getvalue())

    def test_what_is_built_follows_from_the_arguments(self):
        for arguments, expected in (([], (".venv", "hnorm_bench")), (["--peers"], (".venv-peers", "hnorm_bench")),
                                    (["--variants"], (".venv", "hnorm_generators")),
                                    (["--device", "cuda", "--peers"], (".venv-peers", "hnorm_device_bench"))):
            self.assertEqual(needs(parse(arguments)), expected)


class Rows(unittest.TestCase):
    def read(self, text):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "shapes.txt"
            path.write_text(text)
            return read_shapes(path)

    def test_every_line_of_the_table_is_an_operation(self):
        lines = (ROOT / "bench/engine/operations.inc").read_text().splitlines()
        self.assertEqual(len(OPERATIONS), sum(line.startswith("OPERATION(") for line in lines))
        self.assertEqual(Row("backward_add_relu/batch/channels_last/bf16/2x3x4").bytes_moved, 2 * 3 * 4 * 2 * 5)

    def test_words_narrow_a_shapes_rows(self):
        lines = self.read("2x3x4x5 instance channels_first f32  # a comment\n\n8x16\n")
        self.assertEqual(rows(lines[:1], MAIN_OPS), [f"{op}/instance/channels_first/f32/2x3x4x5" for op in MAIN_OPS])
        self.assertEqual(rows(lines[:1], MAIN_OPS, ["f16"]), [], "a type that the line does not have")
        self.assertTrue(all("/batch/" in row for row in rows(lines[1:], MAIN_OPS)), "groups of one element")

    def test_a_line_of_a_log_is_the_row_that_it_names(self):
        lines = self.read("4x6x3x3 forward_add_relu groups2 channels_last f16  # 3 calls\n8x16 batch f32\n")
        logged = "forward_add_relu/groups2/channels_last/f16/4x6x3x3"
        self.assertEqual(rows(lines, usual_ops=["moments"], usual_types=["f32"], layouts=["channels_last"]),
                         ["moments/batch/channels_last/f32/8x16", logged])
        self.assertEqual(rows(lines[:1], ["forward"]), [], "an operation that the line does not have")

    def test_errors_name_line_and_word(self):
        for text, words in (("2x0x4\n", "line 1: '2x0x4' is no shape"), ("\n2x3 nhwc\n", "line 2: 'nhwc' is no op"),
                            ("# nothing\n", "names no shape")):
            with self.assertRaisesRegex(RowError, words):
                self.read(text)

    def test_the_grid_has_every_oddness_in_its_size(self):
        shapes = {shape for size in grid.SIZES.values() for shape in grid.shapes(size)}
        self.assertGreater(len(shapes), 250)
        for shape in ("69905x1x15", "1048576x1x1", "1x1x1000"):
            self.assertIn(shape, shapes)
        for size in grid.SIZES.values():
            for shape in grid.shapes(size):
                self.assertAlmostEqual(math.prod(map(int, shape.split("x"))) / size, 1, delta=0.1)
                self.assertTrue(any(computes(shape, group) for group in GROUPS), shape)

    def test_the_grid_times_each_row_with_its_threads(self):
        class Library:  # two threads take half of the time, and the library always twice the plain loops'
            target, opened, asked = "avx2", None, set()

            def open(self, row):
                self.opened = row

            def set_threads(self, threads):
                self.threads = threads

            def measure(self, names, effort):
                self.asked.add((self.opened, self.threads))
                return {name: [(2 if name == self.target else 1) / self.threads] * 5 for name in names}

        library = Library()
        found = grid.measure(library, ["forward"], ["batch"], ["channels_last"])
        self.assertEqual({(one["row"], one["threads"]) for one in found}, library.asked)
        for one in found:
            self.assertTrue(one["name"].endswith(f"/threads{one['threads']}"))
            near = one["bytes"] >= grid.SMALL  # misses its limit, but not by far: measured once more
            self.assertEqual(one["rounds"], 10 if near else 5)
            self.assertEqual(one["real_time"], 2e6 / one["threads"])


if __name__ == "__main__":
    unittest.main()
