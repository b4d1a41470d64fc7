"""Threads and targets never change a result; the module says what it is."""
import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hnorm
import numpy as np
import pytest
from hnorm import _core
from reference import random

X = random((8, 16, 12, 12))
EXPECTED = hnorm.forward(X, hnorm.Group.batch)


@pytest.fixture(autouse=True)
def as_it_was():
    yield
    hnorm.set_num_threads(0)
    hnorm.set_target("")


def test_any_number_of_threads_gives_the_same_bits():
    for threads in (1, 2, 5):
        hnorm.set_num_threads(threads)
        assert hnorm.num_threads() == threads
        assert np.array_equal(hnorm.forward(X, hnorm.Group.batch), EXPECTED)
    with pytest.raises(hnorm.Error, match="threads is 257"):
        hnorm.set_num_threads(257)


def test_every_target_gives_the_same_bits():
    targets = hnorm.targets()
    assert hnorm.target() in [target.name for target in targets if not target.unusable]
    for target in targets:
        if target.unusable:
            with pytest.raises(hnorm.Error, match=target.name):
                hnorm.set_target(target.name)
        else:
            hnorm.set_target(target.name)
            assert hnorm.target() == target.name
            assert np.array_equal(hnorm.forward(X, hnorm.Group.batch), EXPECTED)


def test_wisdom_is_loaded_and_forgotten(tmp_path):
    path = tmp_path / "wisdom.txt"
    path.write_text("*/*/*/*/* threads=1\nnonsense\n")
    hnorm.load_wisdom(str(path))
    assert np.array_equal(hnorm.forward(X, hnorm.Group.batch), EXPECTED)
    assert hnorm.wisdom_notes()[-2:] == [
        f"{path}: 1 choice in use", f"{path}, line 2: 'nonsense': this is not a line of wisdom: the line is ignored"]
    hnorm.forget_wisdom()
    assert hnorm.wisdom_notes() == []
    with pytest.raises(hnorm.Error, match="No such file"):
        hnorm.load_wisdom(str(tmp_path / "missing"))


def test_threads_of_python_may_call_at_once():
    with ThreadPoolExecutor(4) as pool:
        for y in pool.map(lambda _: hnorm.forward(X, hnorm.Group.batch), range(40)):
            assert np.array_equal(y, EXPECTED)
    hnorm.shutdown()
    assert np.array_equal(hnorm.forward(X, hnorm.Group.batch), EXPECTED)


def test_groups_are_values():
    assert hnorm.groups(3) == hnorm.groups(3) != hnorm.groups(4) and hnorm.Group.batch != hnorm.Group.instance
    assert len({hnorm.groups(3), hnorm.groups(3), hnorm.Group.batch, hnorm.Group.batch}) == 2
    assert repr(hnorm.groups(3)) == "hnorm.groups(3)" and repr(hnorm.Group.batch) == "hnorm.Group.batch"
    assert hnorm.Group.batch != 0


def run(*arguments, **environment):
    return subprocess.run([sys.executable, "-m", "hnorm", *arguments], capture_output=True, text=True,
                          env={**os.environ, **environment})


def test_info_lists_the_targets():
    lines = run("--info", HNORM_NUM_THREADS="3").stdout.splitlines()
    assert lines[0] == f"hnorm {hnorm.__version__}, 3 threads; targets, best first:"
    assert [line.split()[line[0] == "*"] for line in lines[1:]] == [target.name for target in hnorm.targets()]
    assert [line for line in lines if line[0] == "*"] == [line for line in lines if line.endswith("in use")]
    usable = [target.name for target in hnorm.targets() if not target.unusable][-1]
    assert f"* {usable}" in run("--info", HNORM_TARGET=usable).stdout
    refused = run("--info", HNORM_TARGET="pdp-11")
    assert refused.returncode == 1 and refused.stderr.startswith("hnorm: ") and "pdp-11" in refused.stderr


def test_everything_public_is_documented():
    for name in hnorm.__all__:
        assert getattr(hnorm, name).__doc__, name
    assert hnorm.Error.__module__ == "hnorm" and issubclass(hnorm.Error, ValueError)


def test_the_stub_names_what_the_module_has():
    stub = ast.parse((Path(hnorm.__file__).parent / "_core.pyi").read_text())
    named = {node.name for node in stub.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert named == {name for name in vars(_core) if not name.startswith("__")}
    assert (Path(hnorm.__file__).parent / "py.typed").exists()


def test_the_wheel_is_for_the_interpreters_that_it_names():
    tag = re.search("^Tag: (.*)$", importlib.metadata.distribution("hnorm").read_text("WHEEL"), re.MULTILINE)[1]
    stable = sys.version_info >= (3, 12)
    assert (tag.split("-")[1] == "abi3") == stable == _core.__file__.endswith(".abi3.so")


def test_nothing_is_left_at_exit():
    script = "import hnorm, numpy; b = hnorm.BatchNorm(4); b.forward(numpy.ones((2, 4), 'f4')); g = hnorm.Group.batch"
    environment = {**os.environ, "HNORM_TEST_LEAKS": "1"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_other_threads_of_python_run_during_a_call():
    """No thread gives way on its own here: this one runs again only if a call lets it."""
    interval, started, ran = sys.getswitchinterval(), threading.Event(), []
    seen = []

    def compute():
        started.set()
        for _ in range(2000):
            hnorm.forward(X, hnorm.Group.batch)
            if ran:
                seen.append(True)
                return

    sys.setswitchinterval(1000)
    try:
        thread = threading.Thread(target=compute)
        thread.start()
        started.wait()
        ran.append(True)
        thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert seen
