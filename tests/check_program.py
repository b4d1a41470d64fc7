"""What the program hnorm promises: its lists and rows are those of ./dev bench, a log of calls is a list of them, and
errors name what is wrong. HNORM_PROGRAM is its path: python -m unittest tests/check_program.py"""
import json
import os
import shlex
import subprocess
import tempfile
import unittest
from pathlib import Path

from bench.rows import GROUPS, LAYOUTS, OPERATIONS, ROOT, TYPES, Row, read_shapes, rows

PROGRAM = shlex.split(os.environ["HNORM_PROGRAM"])  # an emulator may stand before it
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("HNORM_")}


def run(*arguments, status=0, **environment):
    done = subprocess.run([*PROGRAM, *arguments], env=ENVIRONMENT | environment, capture_output=True, text=True,
                          timeout=600)
    assert done.returncode == status, (arguments, done)
    return done.stdout if status == 0 else done.stderr


class Rows(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_lists_are_read_as_dev_bench_reads_them(self):
        odd = self.folder / "odd.txt"
        odd.write_text("# a list\n\n 4x6x3x3 groups2 channels_last f16 forward_add_relu forward # 3 calls\n8x16 batch\n"
                       "8x16\n1x5 instance\n2x6x4 groups4 bf16\n")
        for path in (*sorted((ROOT / "bench/shapes").glob("*.txt")), odd):
            lines = read_shapes(path)
            for asked, arguments in (
                    ({}, []), ({"types": list(TYPES)}, [f"--type={name}" for name in TYPES]),
                    ({"ops": ["moments", "forward"], "groups": ["batch", "groups2"], "layouts": ["channels_last"]},
                     ["--op=moments", "--op=forward", "--group=batch", "--group=groups2", "--layout=channels_last"])):
                expected = rows(lines, **asked, usual_types=["f32"])
                list_ = str(path) if path == odd else path.stem
                said = run("bench", "--list", "--shapes", list_, *arguments, status=0 if expected else 1)
                self.assertEqual(said.splitlines() if expected else [], expected, (path, arguments))

    def test_a_log_of_every_call_has_the_rows_that_were_called(self):
        shapes, log = self.folder / "shapes.txt", self.folder / "log.txt"
        groups = [*GROUPS, "groups3"]
        shapes.write_text("".join(
            f"2x6x5x{i + 2} {op} {groups[i % 3]} {LAYOUTS[i % 2]} {TYPES[i // 2 % 3]}\n"
            for i, op in enumerate(op for op in OPERATIONS if op != "copy" and not op.startswith("activation"))
            if not (op.startswith(("backward_reduce", "backward_apply")) and i % 3 == 2)))
        called = rows(read_shapes(shapes))
        self.assertGreater(len(called), 12)
        run("bench", "--quick", "--shapes", str(shapes), HNORM_LOG=str(log), HNORM_NUM_THREADS="1")
        self.assertEqual(set(rows(read_shapes(log))), set(called))
        self.assertEqual(run("bench", "--list", "--shapes", str(log)).splitlines(), rows(read_shapes(log)))
        for line in log.read_text().splitlines():
            self.assertRegex(line, r"^# |# [1-9]\d* calls, \d+\.\d{6} s$")

    def test_json_has_the_rows_in_the_form_of_google_benchmark(self):
        path = self.folder / "rows.json"
        arguments = ("bench", "--quick", "--shapes", "tiny", "--op", "moments", "--group", "batch", "--type", "f16")
        table = run(*arguments, "--json", str(path), "--threads", "1").splitlines()
        document = json.loads(path.read_text())
        self.assertEqual(document["context"]["hnorm_threads"], "1")
        self.assertEqual(len(document["benchmarks"]), len(table) - 1)
        target = document["context"]["hnorm_target"]
        for entry, line in zip(document["benchmarks"], table[1:]):
            row = Row("/".join(entry["name"].split("/")[:5]))
            self.assertEqual(entry["name"], f"{row.name}/{target}/tuned")
            self.assertTrue(line.startswith(entry["name"] + " "))
            self.assertGreater(entry["real_time"], 0)
            self.assertAlmostEqual(entry["bytes_per_second"] * entry["real_time"] * 1e-6 / row.bytes_moved, 1, places=6)
            self.assertLessEqual(entry["of_floor_lo"], entry["of_floor"])
            self.assertLessEqual(entry["of_floor"], entry["of_floor_hi"])
        self.assertEqual([path], list(self.folder.iterdir()))

    def test_a_refusal_names_argument_value_and_what_is_allowed(self):
        bad = self.folder / "bad.txt"
        bad.write_text("8x16\n2x0x4\n")
        huge = self.folder / "huge.txt"
        huge.write_text("999999999999x999999999999x999999999999\n")
        for arguments, status, words in (
                (["bench", "--op", "momnts"], 2, ("--op: 'momnts' is none of forward, ",)),
                (["bench", "--group", "groups0"], 2, ("--group: 'groups0' is none of batch, instance", "groups32")),
                (["bench", "--threads", "0"], 2, ("--threads", "0")),
                (["bench", "--shapes", "resnet51"], 1, ("--shapes is resnet51: neither a file", "cyclegan, ")),
                (["bench", "--shapes", str(bad)], 1, (f"{bad}, line 2: '2x0x4' is no shape",)),
                (["bench", "--shapes", str(huge)], 1, (f"{huge}, line 1: '999999999999x", "is no shape", "2^40")),
                (["bench", "--shapes", str(self.folder)], 1, ("neither a file",)),
                (["bench", "--target", "avx3"], 1, ('"avx3" is unknown; the targets are ',)),
                (["bench", "--shapes", "tiny", "--json", f"{bad}/rows.json"], 1, ("--json is '", "cannot be written")),
                (["bench", "--verbose"], 2, ("--verbose", "hnorm bench --help")),
                (["info", "--call", "forward"], 1, ("--call is 'forward': a shape is missing",)),
                (["info", "--call", "8x8x8 nhwc"], 1, ("'nhwc' is no operation, group, layout or type",)),
                (["info", "--call", "8x8 instance"], 1, ("there is no such call",)),
                (["info", "--call", "8x8 forward backward"], 1, ("it names 2 calls",)),
                (["bnech"], 2, ("no command 'bnech'", "hnorm --help")), ([], 2, ("hnorm --help",))):
            said = run(*arguments, status=status)
            for word in words:
                self.assertIn(word, said)


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        shapes = self.folder / "shapes.txt"
        shapes.write_text("4x3x8x8 moments forward\n")
        self.tune = ("tune", "--shapes", str(shapes), "--budget", "1s", "--threads", "1")
        self.bench = ("bench", "--shapes", str(shapes), "--quick", "--op", "moments", "--group", "batch")

    def test_tune_writes_to_a_pipe_and_does_not_read_it(self):
        fifo = self.folder / "fifo"
        os.mkfifo(fifo)
        with subprocess.Popen(["cat", str(fifo)], stdout=subprocess.PIPE, text=True) as reader:
            run(*self.tune, "--output", str(fifo))
            self.assertIn("\n[machine]\n", reader.communicate(timeout=60)[0])

    def test_tune_does_not_replace_what_it_cannot_read(self):
        link = self.folder / "link.txt"
        link.symlink_to("/proc/self/mem")  # not at its begin
        said = run(*self.tune, "--dry-run", "--output", str(link), status=1)
        self.assertIn(f"--output is '{link}': it cannot be read: Input/output error", said)

    def test_a_configuration_folder_that_programs_ignore_is_refused(self):
        for name, environment in (("XDG_CONFIG_HOME", {}), ("HOME", {"XDG_CONFIG_HOME": ""})):
            said = run(*self.tune, "--dry-run", status=1, **environment | {name: "relative"})
            self.assertIn(f"{name} is 'relative': programs ignore it", said)

    def test_links_of_others_in_a_shared_folder_are_not_written_through(self):
        theirs = self.folder / "theirs.txt"
        for arguments, names in ((self.bench + ("--json", "out"), ("out.$$.new",)),
                                 (self.tune + ("--output", "out"), ("out.$$.new", "hnorm-tune-$$.txt"))):
            theirs.write_text("theirs\n")
            links = "".join(f"ln -s theirs.txt {name}; " for name in names)
            subprocess.run(["sh", "-c", links + 'exec "$@"', "sh", *PROGRAM, *arguments], cwd=self.folder, check=True,
                           env=ENVIRONMENT | {"TMPDIR": str(self.folder)}, capture_output=True, timeout=600)
            self.assertEqual(theirs.read_text(), "theirs\n")
            self.assertGreater((self.folder / "out").stat().st_size, 0)
            (self.folder / "out").unlink()

    def test_an_output_that_cannot_be_written_is_a_failure(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([*PROGRAM, "info"], env=ENVIRONMENT, stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, "hnorm: not all could be written to the standard output\n")


class Call(unittest.TestCase):
    def of(self, call, *arguments, **environment):
        """{title: text} of what is shown"""
        found, title = {}, ""
        name, *lines = run("info", "--call", call, *arguments, **environment).splitlines()
        for line in lines:
            title = line[:12].strip() or title
            found[title] = (found.get(title, "") + "\n" + line[12:]).strip()
        return name, found

    def test_kernels_are_those_of_the_operation_and_the_class_of_its_planes(self):
        for call, name, kernels in (
                ("2x3x4", "forward/batch/channels_first/f32/2x3x4", ("probe, class tiny", "moments, class tiny",
                                                                     "normalize, class tiny")),
                ("normalize_add_relu f16 4x8x100 instance", "normalize_add_relu/instance/channels_first/f16/4x8x100",
                 ("normalize_residual, class small",)),
                ("backward/groups2/channels_last/bf16/2x4x40x40", "backward/groups2/channels_last/bf16/2x4x40x40",
                 ("backward_reduce, class last", "backward_apply, class last"))):
            its_name, shown = self.of(call)
            self.assertEqual(its_name, name)
            usual = [line.split(" (")[0] for line in shown["kernels"].splitlines() if "unusual" not in line]
            self.assertCountEqual(usual, kernels)
        self.assertIn("moments_measured, class tiny (planes of less than 16 positions): only where values are unusual",
                      self.of("2x3x4")[1]["kernels"])

    def test_threads_blocks_and_loops_fit_each_other(self):
        _, small = self.of("2x3x4", "--threads", "3")
        self.assertIn("1 of 3: the tensor has 24 elements, less than serial_below", small["threads"])
        self.assertEqual(small["loops"], "none in parallel")
        _, one = self.of("8x64x56x56 instance", "--threads", "1")
        self.assertEqual((one["threads"], one["loops"]), ("1: no more are allowed", "none in parallel"))
        _, large = self.of("8x64x56x56 instance", "--threads", "2")
        self.assertIn("each computes blocks of whole groups", large["threads"])
        blocks = large["blocks"].split(",")[0]
        self.assertEqual(large["loops"], f"1 of {blocks} tasks on 2 threads")
        self.assertIn(f"normalize, class large (planes of more than 1024 positions): {blocks} calls", large["kernels"])

    def test_target_and_stores_come_with_the_reason(self):
        _, shown = self.of("2x3x4")
        self.assertIn("the best that this CPU runs", shown["target"])
        target = shown["target"].split(":")[0]
        self.assertEqual(self.of("2x3x4", HNORM_TARGET=target)[1]["target"], f"{target}: forced by HNORM_TARGET")
        self.assertIn("ordinary: the output and its inputs take 192 bytes, not more than", shown["stores"])


if __name__ == "__main__":
    unittest.main()
