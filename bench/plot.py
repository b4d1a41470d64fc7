"""Pictures of a comparison: GB/s by shape with the copy floor as the top line, the speed of one variant over another,
and GB/s by the size of tensors.

python -m bench.plot FILE.json FOLDER draws from rows written earlier."""
import json
import sys
from collections import defaultdict
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

from .rows import Row  # noqa: E402

# A colour for each; who is drawn first is at the left.
COLOURS = {"floor": "black", "tuned": "#d62728", "untuned": "#ff9896", "naive": "#c7c7c7", "mullapudi2016": "#aec7e8",
           "adams2019": "#98df8a", "li2018": "#c5b0d5", "pytorch": "#ff9f1c", "onednn": "#0071c5",
           "onednn_preferred": "#60b0f0", "onnxruntime": "#555555", "ncnn": "#2ca02c"}
LABELS = {"tuned": "hnorm", "untuned": "hnorm, untuned default", "naive": "hnorm, naive schedule",
          "floor": "copy floor", "pytorch": "PyTorch", "onednn": "oneDNN", "onednn_preferred": "oneDNN, blocked layout",
          "onnxruntime": "ONNX Runtime"}


def draw(rows, name, context, folder):
    """Rows of one list of shapes. Returns the pictures' paths."""
    if Path(name).stem == "sizes":
        return [_by_size(rows, name, context, folder)]
    by_op = defaultdict(lambda: defaultdict(dict))  # op -> (group, layout, type) -> (shape, variant) -> row
    for row in rows:
        op, group, layout, type_, shape, _, variant = row["name"].split("/")
        by_op[op][group, layout, type_][shape, variant] = row
    paths = [_bars(op, of_op, name, context, folder) for op, of_op in by_op.items()]
    if any("of_untuned" in row for row in rows):
        paths.append(_heat(by_op, name, context, folder))
    return paths


def _bars(op, of_op, name, context, folder):
    figure, axes = plt.subplots(len(of_op), 1, figsize=(11, 3.1 * len(of_op)), squeeze=False, layout="constrained")
    for axis, ((group, layout, type_), found) in zip(axes[:, 0], of_op.items()):
        shapes = list(dict.fromkeys(shape for shape, _ in found))
        variants = [variant for variant in COLOURS if any((shape, variant) in found for shape in shapes)]
        bars = [variant for variant in variants if variant != "floor"]
        width = 0.8 / len(bars)
        for i, variant in enumerate(bars):
            at = [(x, found[shape, variant]) for x, shape in enumerate(shapes) if (shape, variant) in found]
            axis.bar([x + (i + 0.5) * width - 0.4 for x, _ in at], [row["bytes_per_second"] * 1e-9 for _, row in at],
                     width, color=COLOURS[variant], label=LABELS.get(variant, variant))
        for x, shape in enumerate(shapes):
            floor = found[shape, "floor"]["bytes_per_second"] * 1e-9
            axis.hlines(floor, x - 0.45, x + 0.45, color="black", label=None if x else LABELS["floor"])
        axis.set_xticks(range(len(shapes)), shapes, fontsize=8)
        axis.set_ylabel("GB/s")
        axis.set_title(f"{op}, {group} norm, {layout.replace('_', '-')}, {type_}", fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    handles = {}
    for axis in axes[:, 0]:
        handles |= dict(zip(*reversed(axis.get_legend_handles_labels())))
    figure.legend(handles.values(), handles.keys(), fontsize=8, ncols=5, loc="outside upper center")
    figure.supxlabel(_caption(name, context), fontsize=7)
    path = folder / f"{Path(name).stem}_{op}.png"
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


def _by_size(rows, name, context, folder):
    """A line for each operation, and for the copy beside `forward`; of what must be read and written at least."""
    lines = defaultdict(dict)  # label -> bytes of a tensor -> GB/s
    for row in rows:
        op, _, _, _, _, _, variant = row["name"].split("/")
        if variant == "tuned" or (variant, op) == ("floor", "forward"):
            of_tensor = Row(row["name"].rsplit("/", 2)[0]).bytes
            lines["copy" if variant == "floor" else op][of_tensor] = row["bytes_per_second"] * 1e-9
    figure, axis = plt.subplots(figsize=(9, 4.6), layout="constrained")
    for label, found in lines.items():
        sizes = sorted(found)
        axis.plot(sizes, [found[size] for size in sizes], marker="o", markersize=3, label=label,
                  color="black" if label == "copy" else None, linestyle="--" if label == "copy" else "-")
    axis.set_xscale("log", base=2)
    axis.set_yscale("log", base=2)
    axis.yaxis.set_major_formatter("{x:g}")
    for cache in context.get("caches", []):
        # Forward and the copy have two tensors in it.
        axis.axvline(cache["size"] / 2, color="grey", linewidth=0.8, linestyle=":")
        axis.annotate(f"two fill L{cache['level']}", (cache["size"] / 2, axis.get_ylim()[1]), rotation=90, fontsize=7,
                      ha="right", va="top", color="grey")
    ticks = [4 << 10 << 2 * i for i in range(10)]
    axis.set_xticks(ticks, [_size(tick) for tick in ticks])
    axis.set_xlabel("a tensor")
    axis.set_ylabel("GB/s")
    axis.legend(fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    figure.supxlabel(_caption(name, context), fontsize=7)
    path = folder / "sizes.png"
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


def _size(size):
    return f"{size >> 30} GB" if size >> 30 else f"{size >> 20} MB" if size >> 20 else f"{size >> 10} KB"


def _heat(by_op, name, context, folder):
    """The tuned kernels' speed over the untuned default's."""
    columns = [(op, *key) for op, of_op in by_op.items() for key in of_op]
    shapes = list(dict.fromkeys(shape for of_op in by_op.values() for found in of_op.values() for shape, _ in found))
    values = np.full((len(shapes), len(columns)), np.nan)
    for j, (op, *key) in enumerate(columns):
        found = by_op[op][tuple(key)]
        for i, shape in enumerate(shapes):
            values[i, j] = found.get((shape, "tuned"), {}).get("of_untuned", np.nan)
    figure, axis = plt.subplots(figsize=(max(9, 2.5 + 0.62 * len(columns)), 2.6 + 0.34 * len(shapes)),
                                layout="constrained")
    image = axis.imshow(np.log2(values), cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    for i in range(len(shapes)):
        for j in range(len(columns)):
            if not np.isnan(values[i, j]):
                axis.text(j, i, f"{values[i, j]:.2f}", ha="center", va="center", fontsize=7)
    labels = [f"{op}\n{group}\n{layout.removeprefix('channels_')}, {type_}" for op, group, layout, type_ in columns]
    axis.set_xticks(range(len(columns)), labels, fontsize=6.5, rotation=45, ha="right")
    axis.set_yticks(range(len(shapes)), shapes, fontsize=8)
    axis.set_title("speed of the tuned kernels over the untuned default", fontsize=10)
    ticks = [0.5, 0.71, 1, 1.41, 2]
    figure.colorbar(image, ax=axis, ticks=np.log2(ticks)).ax.set_yticklabels(map(str, ticks))
    figure.supxlabel(_caption(name, context), fontsize=6.5)
    path = folder / f"{Path(name).stem}_tuned_over_untuned.png"
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


def _caption(name, context):
    peers = f"; {context['peers']}" if context.get("peers") else ""
    return (f"shapes: {name}. {context['cpu_name']}, {context['hnorm_target']}, {context['hnorm_threads']} threads, "
            f"{context['date'][:10]}{peers}\n{context['command']}")


if __name__ == "__main__":
    document = json.loads(Path(sys.argv[1]).read_text())
    out = Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    lists = defaultdict(list)
    for one in document["benchmarks"]:
        lists[one["shape_list"]].append(one)
    for list_name, of_list in lists.items():
        for drawn in draw(of_list, list_name, document["context"], out):
            print(drawn)
