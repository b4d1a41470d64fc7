"""Draws what example_digits wrote: plot.py CSV PNG"""

import csv
import sys
from collections import defaultdict
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")  # needs no display
import matplotlib.pyplot as plt

COLOURS = {"no": "#777777", "batch": "#d1495b", "instance": "#00798c", "layer": "#e08e2b"}
NORMS = {"convolutional": ["no", "batch", "instance"], "plain": ["no", "batch", "layer"]}
BATCHES_ONE_RATE = 0.1  # the rate that batches of 32 have where batch sizes are compared (experiments.h)


class Setting(NamedTuple):
    network: str
    norm: str
    rate: float
    batch_size: int


def read(path):
    """The rows of each setting and, in it, of each seed: runs[setting][seed] is a list of dicts of numbers."""
    runs = defaultdict(lambda: defaultdict(list))
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            setting = Setting(row.pop("network"), row.pop("norm"), float(row.pop("rate")), int(row.pop("batch_size")))
            seed = row.pop("seed")
            runs[setting][seed].append({name: float(text) if text else None for name, text in row.items()})
    return runs


def draw_course(axes, seeds, across, value, colour, label, style="-"):
    """Thin: each seed. Thick: their mean, as far as all seeds go."""
    courses = []
    for rows in seeds.values():
        points = [(row[across], row[value]) for row in rows if row[value] is not None]
        courses.append(points)
        axes.plot(*zip(*points), style, color=colour, linewidth=0.6, alpha=0.35)
    mean = [(same[0][0], sum(point[1] for point in same) / len(same)) for same in zip(*courses)]
    axes.plot(*zip(*mean), style, color=colour, linewidth=1.8, label=label)


def draw_column(loss_axes, accuracy_axes, runs, settings, across, both_modes, accuracies=(0.9, 1.0)):
    for setting in settings:
        colour, label = COLOURS[setting.norm], f"{setting.norm} norm"
        draw_course(loss_axes, runs[setting], across, "loss", colour, label)
        draw_course(accuracy_axes, runs[setting], across, "evaluation_accuracy", colour, label)
        if both_modes and setting.norm == "batch":
            label = "batch norm, training mode"
            draw_course(accuracy_axes, runs[setting], across, "training_accuracy", colour, label, ":")
    loss_axes.set(yscale="log", ylim=(3e-4, 10))
    accuracy_axes.set(ylim=accuracies if both_modes else (0.0, 1.02), xlabel=across)
    for axes in (loss_axes, accuracy_axes):
        axes.grid(alpha=0.3)


def last(rows, value):
    return next((row[value] for row in reversed(rows) if row[value] is not None), None)


def draw_finals(axes, runs, sizes, setting_of, norm, value, label, style="-"):
    """Each seed's last value as a dot, and a line through the means."""
    means = []
    for position, size in enumerate(sizes):
        finals = [last(rows, value) for rows in runs[setting_of(norm, size)].values()]
        axes.plot([position] * len(finals), finals, ".", color=COLOURS[norm], markersize=5, alpha=0.5)
        means.append(sum(finals) / len(finals))
    axes.plot(range(len(sizes)), means, style, color=COLOURS[norm], linewidth=1.8, label=label)


def draw_modes(axes, runs, sizes, setting_of):
    """Training mode's accuracy less evaluation mode's, batch norm, in percentage points."""
    for size, shade in zip(sizes, ("#d1495b", "#edae49", "#30638e")):
        courses = [[(row["epoch"], 100 * (row["training_accuracy"] - row["evaluation_accuracy"]))
                    for row in rows if row["training_accuracy"] is not None]
                   for rows in runs[setting_of("batch", size)].values()]
        mean = [(same[0][0], sum(point[1] for point in same) / len(same)) for same in zip(*courses)]
        axes.plot(*zip(*mean), color=shade, linewidth=1.5, label=f"batches of {size}")
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(title="batch norm: training mode's accuracy\nless evaluation mode's, % points", xlabel="epoch")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def draw_batch_sizes(rows, runs, sizes, network, accuracies):
    """Two rows: a column for each batch size, and one that compares them."""
    norms = NORMS[network]

    def of_size(norm, size):
        return Setting(network, norm, BATCHES_ONE_RATE * size / sizes[-1], size)

    for column, size in enumerate(sizes):
        settings = [of_size(norm, size) for norm in norms]
        rows[0, column].set_title(f"{network}: batches of {size}, rate {settings[0].rate:g}")
        draw_column(rows[0, column], rows[1, column], runs, settings, "epoch", True, accuracies)
    draw_modes(rows[0, -1], runs, sizes, of_size)
    for norm in norms:
        draw_finals(rows[1, -1], runs, sizes, of_size, norm, "evaluation_accuracy", f"{norm} norm")
    draw_finals(rows[1, -1], runs, sizes, of_size, "batch", "training_accuracy", "batch, training mode", ":")
    rows[1, -1].set(title="held-out accuracy at the end", xlabel="batch size", xticks=range(len(sizes)),
                    xticklabels=sizes)
    rows[1, -1].grid(alpha=0.3)
    rows[1, 1].legend(fontsize=8, loc="lower right")


def main(source, target):
    runs = read(source)
    sizes = sorted({setting.batch_size for setting in runs})
    rates = sorted({setting.rate for setting in runs if setting.batch_size == sizes[-1]})
    columns = max(len(rates), len(sizes) + 1)
    figure, grid = plt.subplots(6, columns, figsize=(4 * columns, 19.5), layout="constrained")
    for column, rate in enumerate(rates):
        settings = [Setting("convolutional", norm, rate, sizes[-1]) for norm in NORMS["convolutional"]]
        grid[0, column].set_title(f"convolutional: rate {rate:g}, batches of {sizes[-1]}")
        draw_column(grid[0, column], grid[1, column], runs, settings, "step", False)
    draw_batch_sizes(grid[2:4], runs, sizes, "convolutional", (0.9, 1.0))
    draw_batch_sizes(grid[4:6], runs, sizes, "plain", (0.2, 1.0))
    for row, label in enumerate(["training loss", "held-out accuracy"] * 3):
        grid[row, 0].set_ylabel(label)
    grid[0, 0].legend(fontsize=8)
    for axes in grid.flat:
        axes.set_visible(axes.has_data())
    count = len(next(iter(runs.values())))
    figure.suptitle("1,797 digits, a fifth held out: a convolutional and a plain network without normalization, with "
                    f"batch norm, with instance or layer norm.  Thin: each seed (of {count}); thick: their mean.")
    figure.savefig(target, dpi=80)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
