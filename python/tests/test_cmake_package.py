"""The CMake package in the wheel has what the wheel holds, and says what is not there."""
import os
import shutil
import subprocess
import sys

import pytest

PROJECT = """cmake_minimum_required(VERSION 3.16)
project(p LANGUAGES CXX)
find_package(hnorm REQUIRED COMPONENTS {component})
file(WRITE main.cpp "int main() {{}}")
add_executable(p main.cpp)
target_link_libraries(p PRIVATE {target})
"""


@pytest.fixture
def configure(tmp_path):
    cmake = os.environ.get("HNORM_TEST_CMAKE") or shutil.which("cmake")
    if not cmake:
        pytest.skip("no cmake")
    package = subprocess.run([sys.executable, "-m", "hnorm", "--cmake-dir"], check=True, capture_output=True, text=True)

    def run(component, target):
        (tmp_path / "CMakeLists.txt").write_text(PROJECT.format(component=component, target=target))
        command = [cmake, "-S", tmp_path, "-B", tmp_path / "build", f"-Dhnorm_DIR={package.stdout.strip()}"]
        done = subprocess.run(command, capture_output=True, text=True)
        return done.returncode, " ".join(done.stderr.split())

    return run


@pytest.mark.parametrize("component", ["gpu", "state"])
def test_components_have_their_static_library_and_refuse_the_shared_one(configure, component):
    status, said = configure(component, f"hnorm::{component}")
    if "needs libzip" in said:
        pytest.skip("no libzip")
    assert (status, said) == (0, "")
    status, said = configure(component, f"hnorm::{component}_shared")
    assert status != 0 and f"hnorm::{component}_shared but the target was not found" in said
