"""kernel_symbols.py NM FOLDER: whether the CPU's kernels in the folder call nothing that can fail. They do not look
at what such a call gives: they are compiled without Halide's checks (docs/reliability.md, "Kernels check nothing").
Memory is what matters most: theirs is on the stack."""

import subprocess
import sys
from pathlib import Path

# A loop's failure is kept by the runtime. What moves or fills memory has none.
MAY_CALL = {"halide_do_par_for", "memset", "memcpy", "memmove", "hnorm_store_past_cache_avx",
            "hnorm_store_past_cache_sse"}


def main():
    nm, folder = sys.argv[1:]
    objects = [path for path in sorted(Path(folder).glob("hnorm_kernel_*.o"))
               if not path.stem.endswith(("_cuda", "_opencl"))]
    if not objects:
        sys.exit(f"{folder} has no kernels")
    listed = subprocess.run([nm, "--undefined-only", "--format=posix", "--print-file-name", *objects],
                            capture_output=True, text=True, check=True)
    calls = [line.split()[:2] for line in listed.stdout.splitlines()]
    if wrong := [f"{Path(file.rstrip(':')).name} calls {name}" for file, name in calls if name not in MAY_CALL]:
        sys.exit("\n".join(wrong))
    print(f"{len(objects)} kernels call nothing that can fail")


main()
