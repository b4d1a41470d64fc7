"""What each kernel of a build costs: seconds of compilation (from ninja's log) and bytes of its object.

    kernel_costs.py BUILD    a table by kernel, class of planes, type and target, and BUILD/kernel_costs.csv

Times are those of each kernel's last compilation, with as many beside it as the build ran.
"""
import csv
import json
import re
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def compilations(log):
    """{object's name: seconds}, the last entry of each."""
    seconds = {}
    for line in log.read_text().splitlines()[1:]:
        start, end, _, output, _ = line.split("\t")
        seconds[Path(output).name] = (int(end) - int(start)) / 1000
    return seconds


def rows(build):
    manifest = json.loads((ROOT / "generators/kernels.json").read_text())
    kernels = {k["name"] for part in ("kernels", "device_kernels") for k in manifest.get(part, [])}
    pattern = re.compile(
        f"hnorm_kernel_({'|'.join(sorted(kernels, key=len, reverse=True))})"
        f"_({'|'.join(sorted(manifest['planes'], key=len, reverse=True))})_({'|'.join(manifest['types'])})_(.+)\\.o")
    seconds = compilations(build / ".ninja_log")
    for path in sorted((build / "generators/kernels").glob("hnorm_kernel_*.o")):
        match = pattern.fullmatch(path.name)
        if match and path.name in seconds:
            yield (*match.groups(), round(seconds[path.name], 2), path.stat().st_size)


def main():
    build = Path(sys.argv[1])
    found = list(rows(build))
    names = ("kernel", "planes", "type", "target")
    with open(build / "kernel_costs.csv", "w", newline="") as file:
        csv.writer(file).writerows([(*names, "seconds", "bytes"), *found])
    for i, name in enumerate(names):
        sums = defaultdict(lambda: [0, 0.0, 0])
        for row in found:
            of = sums[row[i]]
            of[0], of[1], of[2] = of[0] + 1, of[1] + row[4], of[2] + row[5]
        print(f"{name:24}{'kernels':>8}{'seconds':>9}{'KB':>8}")
        for value, (count, time, size) in sorted(sums.items(), key=lambda item: -item[1][2]):
            print(f"  {value:22}{count:8}{time:9.1f}{size / 1000:8.0f}")
    print(f"all {len(found)}: {sum(row[4] for row in found):.0f} s, {sum(row[5] for row in found) / 1e6:.1f} MB; "
          f"archive: {(build / 'runtime/libhnorm.a').stat().st_size / 1e6:.1f} MB; each: {build / 'kernel_costs.csv'}")


if __name__ == "__main__":
    main()
