"""Results have the bits of C++, from a program that finds hnorm in the Python package."""
import os
import shutil
import subprocess
import sys

import hnorm
import numpy as np
import pytest
from reference import CASES, GROUPS, TYPES, random

NUMBERS = {"batch": 0, "instance": 1, "groups": 5}


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    cmake = os.environ.get("HNORM_TEST_CMAKE") or shutil.which("cmake")
    if not cmake:
        pytest.skip("no cmake")
    folder = tmp_path_factory.mktemp("project")
    package = subprocess.run([sys.executable, "-m", "hnorm", "--cmake-dir"], check=True, capture_output=True, text=True)
    project = os.path.join(os.path.dirname(__file__), "project")
    configure = ["-S", project, "-B", folder, "-D", f"hnorm_DIR={package.stdout.strip()}"]
    for command in (configure, ["--build", folder, "-j", "2"]):
        done = subprocess.run([cmake, *command], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return {library: folder / f"bits_{library}" for library in ("hnorm", "shared", "gpu")}


def in_memory_order(array, last):
    return (np.moveaxis(array, 1, -1) if last else array).tobytes()


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("shape, last, group", CASES)
def test_results_have_the_bits_of_cpp(programs, shape, last, group, type_):
    x, dy = random(shape, type_, last), random(shape, type_, last, seed=1)
    gamma, beta = random((1, 6), seed=2)[0], random((1, 6), seed=3)[0]
    count = hnorm.moments(x, GROUPS[group]).count
    mean, variance = np.empty_like(count), np.empty_like(count)
    y = hnorm.forward(x, GROUPS[group], gamma, beta, mean=mean, variance=variance)
    dx, dgamma, dbeta = hnorm.backward(x, dy, GROUPS[group], mean, variance, gamma, beta)
    evaluated = hnorm.normalize(x, GROUPS[group], mean, variance, gamma, beta, 1e-3)
    expected = b"".join(in_memory_order(array, last and array.shape == shape)
                        for array in (y, mean, variance, dx, dgamma, dbeta, evaluated))
    arguments = [list(TYPES).index(type_), int(last), NUMBERS[group], *shape]
    given = b"".join(in_memory_order(array, last) for array in (x, dy)) + gamma.tobytes() + beta.tobytes()
    library = ("hnorm", "shared", "gpu")[hash((shape, last, type_ == "f32")) % 3]
    done = subprocess.run([programs[library], *map(str, arguments)], input=given, capture_output=True, check=True)
    assert done.stdout == expected
