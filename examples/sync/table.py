"""Prints what example_sync wrote: table.py CSV"""

import sys

from runs import ALONE, last, read

NEAR = 1e-5


def compare(seeds, alone):
    """In words: how far the losses are from those of one process."""
    differences = [[abs(row["loss"] - of_one["loss"]) for row, of_one in zip(rows, alone[seed], strict=True)]
                   for seed, rows in seeds.items()]
    greatest = max(map(max, differences))
    if greatest == 0:
        return "all bits"
    if greatest < NEAR:
        return f"{greatest:.1g}"
    first = min(next((step for step, value in enumerate(of_seed) if value >= NEAR), len(of_seed))
                for of_seed in differences)
    return f"{greatest:.1g}" + (f" (1e-5 for {first} steps)" if first else "")


def loss_at_end(rows):
    """Of the last epoch."""
    of_epoch = [row["loss"] for row in rows if row["epoch"] > rows[-1]["epoch"] - 1]
    return sum(of_epoch) / len(of_epoch)


def main(path):
    line = "{:14}{:>4}{:>6}  {:12} {:7} {:22} {}"
    print()
    print(line.format("network, batch", "by", "each", "statistics", "loss", "held-out, %", "from one process"))
    for setting, ways in read(path).items():
        for way, seeds in ways.items():
            lowest = [last(rows, "lowest_accuracy") for rows in seeds.values()]
            highest = [last(rows, "highest_accuracy") for rows in seeds.values()]
            middle = (sum(lowest) + sum(highest)) / 2 / len(seeds)
            loss = sum(map(loss_at_end, seeds.values())) / len(seeds)
            network = setting.network[:5] + ("." if len(setting.network) > 5 else "")
            print(line.format(f"{network}, {setting.batch}", way.processes, setting.of_process(way.processes),
                              "one process" if way == ALONE else way.statistics, f"{loss:.4f}",
                              f"{middle * 100:.1f} ({min(lowest) * 100:.1f} to {max(highest) * 100:.1f})",
                              "" if way == ALONE else compare(seeds, ways[ALONE])).rstrip())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
