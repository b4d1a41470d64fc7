"""kernel_arguments.py MANIFEST HEADERS FOLDER...: whether the types in the runtime's HEADERS are those of the
kernels that Halide compiled, whose own headers lie in FOLDER: the same arguments, in the same order and under the
same names. What a kernel gives for each run or group has no names of its own there (runs_0, runs_1): of those the
number counts.
"""

import json
import re
import sys
from pathlib import Path

TYPE = re.compile(r"using (\w+) = int \(\*\)\(([^)]*)\);")


def arguments(text):
    """A list of (type, name), as in "struct halide_buffer_t *_x_buffer, int32_t _slope"."""
    result = []
    for argument in " ".join(text.split()).split(", "):
        kind, name = re.fullmatch(r"(?:struct )?(.*?[ *])(\w+)", argument).groups()
        result.append((kind.strip(), re.sub(r"^_|_buffer$", "", name)))
    return result


def differences(declared, compiled):
    if len(declared) != len(compiled):
        return f"{len(declared)} arguments, but Halide compiled {len(compiled)}"
    for i, (ours, theirs) in enumerate(zip(declared, compiled)):
        same_name = ours[1] == theirs[1] or re.search(r"_\d+$", theirs[1]) or theirs[1] in ("runs", "out")
        if ours[0] != theirs[0] or not same_name:
            return f"argument {i} is {' '.join(ours)}, but Halide compiled {' '.join(theirs)}"
    return ""


def main():
    manifest = json.loads(Path(sys.argv[1]).read_text())
    headers = [Path(name).read_text() for name in sys.argv[2:4]]
    types = {name: arguments(text) for header in headers for name, text in TYPE.findall(header)}
    cpu = {kernel["name"]: kernel for kernel in manifest["kernels"]}
    device = {kernel["name"]: kernel for kernel in manifest["device_kernels"] + manifest["device_group_kernels"]}
    checked, wrong = set(), 0
    for folder in sys.argv[4:]:
        for path in sorted(Path(folder).glob("hnorm_kernel_*.h")):
            symbol = path.stem.removeprefix("hnorm_kernel_")
            kernels = device if symbol.endswith(("_cuda", "_opencl")) else cpu
            name = max((name for name in kernels if symbol.startswith(name + "_")), key=len)
            compiled = re.search(r"\nint \w+\((.*?)\);", path.read_text(), re.S)[1]
            difference = differences(types[kernels[name]["signature"]], arguments(compiled))
            checked.add((kernels is device, name))
            if difference:
                wrong += 1
                print(f"{path.stem}: {kernels[name]['signature']}: {difference}")
    missing = {(False, name) for name in cpu} - checked
    print(f"{len(checked)} kernels checked, {wrong} headers differ")
    if missing:
        print("no header of:", ", ".join(name for _, name in sorted(missing)))
    return 1 if wrong or missing or not checked else 0


if __name__ == "__main__":
    sys.exit(main())
