"""Makes the archive for a machine with a GPU: the programs as they are built, stripped, with the C++ runtime in them,
and the Python sources that run them."""
import json
import lzma
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from bench.rows import ROOT

from . import machine
from .steps import TARGETS, bin_folder

NAME = "hnorm-gpu"
MOST_BYTES = 60 << 20
WINDOW = 96 << 20  # of the compression
SOURCES = ("gpu/*.py", "bench/*.py", "bench/shapes/*.txt", "bench/engine/operations.inc", "generators/kernels.json",
           "LICENSE")
RUN = """\
#!/bin/sh
# All that this GPU must show: ./run --help
PYTHONPATH=$(dirname "$(readlink -f "$0")") exec python3 -m gpu "$@"
"""


def file_of(target):
    shared = bin_folder() / f"lib{target}.so"
    return shared if shared.exists() else bin_folder() / target


def fill(folder, candidates, say):
    for pattern in SOURCES:
        for source in ROOT.glob(pattern):
            to = folder / source.relative_to(ROOT)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, to)
    for of_checkout in ("pack.py", "compile.py"):
        (folder / "gpu" / of_checkout).unlink()
    there = folder / "build/release/bin"
    there.mkdir(parents=True)
    for target in TARGETS:
        file = file_of(target)
        subprocess.run(["strip", "-o", there / file.name, file], check=True)
    if candidates:
        from .compile import compile_candidates

        compile_candidates(there, candidates, say)
    (folder / "built.json").write_text(json.dumps(machine.describe()))
    (folder / "run").write_text(RUN)
    (folder / "run").chmod(0o755)


def pack(file, candidates, say):
    """The exit status."""
    with tempfile.TemporaryDirectory(dir=file.resolve().parent) as scratch:
        folder = Path(scratch) / NAME
        folder.mkdir()
        fill(folder, candidates, say)
        say("compressing (a minute or two)")
        # Programs share most of their bytes, which a window larger than each of them finds.
        packed = Path(scratch) / file.name
        with lzma.open(packed, "wb", filters=[{"id": lzma.FILTER_LZMA2, "preset": 3, "dict_size": WINDOW}]) as stream:
            with tarfile.open(fileobj=stream, mode="w|") as archive:
                archive.add(folder, NAME)
        size = packed.stat().st_size
        if size > MOST_BYTES:
            say(f"the archive has {size >> 20} MB, more than {MOST_BYTES >> 20}: fewer --candidates make it smaller")
            return 1
        os.replace(packed, file)
    say(f"{file}: {size / (1 << 20):.1f} MB. There: tar xf {file.name} && {NAME}/run")
    return 0
