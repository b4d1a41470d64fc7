"""Draws what example_sync wrote: plot.py CSV PNG"""

import sys

import matplotlib

matplotlib.use("Agg")  # needs no display
import matplotlib.pyplot as plt
from runs import ALONE, Way, read

# Wide to narrow, so that curves that lie on each other can be seen.
STYLES = {
    ALONE: ("one process, the whole batch", "#bbbbbb", 6.0, "-"),
    Way(2, "shared"): ("2 processes, shared statistics", "#00798c", 3.0, "-"),
    Way(4, "shared"): ("4 processes, shared statistics", "#003d46", 1.2, "--"),
    Way(2, "own"): ("2 processes, own statistics", "#edae49", 1.2, "-"),
    Way(4, "own"): ("4 processes, own statistics", "#d1495b", 1.2, "-"),
}


def smoothed(values):
    """Means over a 36th of the steps."""
    width = max(1, len(values) // 36)
    return [sum(values[max(0, i - width + 1):i + 1]) / min(i + 1, width) for i in range(len(values))]


def draw(loss_axes, accuracy_axes, ways):
    for way, (label, colour, width, style) in STYLES.items():
        seed, rows = next(iter(ways[way].items()))
        steps = [row["step"] for row in rows]
        loss_axes.plot(steps, smoothed([row["loss"] for row in rows]), style, color=colour, linewidth=width,
                       label=label)
        measured = [row for row in rows if row["lowest_accuracy"] is not None]
        lowest, highest = ([100 * row[name] for row in measured] for name in ("lowest_accuracy", "highest_accuracy"))
        steps = [row["step"] for row in measured]
        accuracy_axes.fill_between(steps, lowest, highest, color=colour, alpha=0.3, linewidth=0)
        accuracy_axes.plot(steps, [(a + b) / 2 for a, b in zip(lowest, highest)], style, color=colour,
                           linewidth=width)
    loss_axes.set(yscale="log")
    accuracy_axes.set(xlabel="step")
    for axes in (loss_axes, accuracy_axes):
        axes.grid(alpha=0.3)
    return seed


def main(source, target):
    runs = read(source)
    figure, grid = plt.subplots(2, len(runs), figsize=(4.5 * len(runs), 8), layout="constrained")
    for column, (setting, ways) in enumerate(runs.items()):
        seed = draw(grid[0, column], grid[1, column], ways)
        grid[0, column].set_title(f"{setting.network}, batches of {setting.batch}:\n{setting.of_process(4)} samples a "
                                  "process of 4")
    grid[0, 0].set_ylabel("training loss (smoothed)")
    grid[1, 0].set_ylabel("held-out accuracy, %")
    grid[0, 0].legend(fontsize=8)
    figure.suptitle(f"Batch norm over processes, with shared statistics and with own ones (seed {seed}; the band is "
                    "the range of the processes)")
    figure.savefig(target, dpi=80)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
