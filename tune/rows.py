"""The rows that are measured, op/group/layout/type/NxCx..., from lists of shapes."""
import math
import re
from pathlib import Path

from .space import ROOT, Manifest

_MANIFEST = Manifest()
GROUPS, LAYOUTS, TYPES = tuple(_MANIFEST.groups), tuple(_MANIFEST.layouts), tuple(_MANIFEST.types)
# First those that a schedule file is held to (no row slower than before).
MAIN_OPS = ("forward", "normalize", "backward")
OTHER_OPS = ("moments", "backward_reduce", "forward_add_relu", "normalize_add_relu", "backward_add_relu")

# Rows for bits: every length modulo vectors and rows, few and many groups; small, since there are many. They run with the
# threads that the runner sets and BIT_DISPATCH, so that small tensors take every kernel as well.
BIT_DISPATCH = {"serial_below": 0}
BIT_SHAPES = {
    "tiny": ("3x17x2", "2x33x7", "5x70x15", "1x129x9"),
    "small": ("3x17x16", "2x33x7x7", "5x3x31", "2x70x14x14", "1x5x1024", "65x2x49", "1x40x1009"),
    "large": ("3x5x33x33", "2x17x1025", "1x3x200x103", "2x1x4161", "1x33x8191"),
    "last": ("3x17x16", "2x33x7x7", "1x5x1024", "2x70x14x14", "3x130x40", "65x8x50", "2x3x4161", "300x40", "2x2100x21",
             "3x17x2", "2x33x7", "5x70x15", "1x129x9"),
}


class RowError(ValueError):
    pass


def extents(shape):
    return [int(extent) for extent in shape.split("x")]


def elements(row):
    return math.prod(extents(row.split("/")[4]))


def read_shapes(path):
    """Lines of a list: a shape, and words that narrow its rows to a group, a layout or a type."""
    lines = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        shape, *narrowing = words
        parts = shape.split("x")
        if not 2 <= len(parts) <= 5 or not all(part.isdigit() and int(part) > 0 for part in parts):
            raise RowError(f"{path}, line {number}: '{shape}' is no shape: 2 to 5 positive extents, as in 32x64x56x56")
        for word in narrowing:
            if word not in GROUPS + LAYOUTS + TYPES:
                raise RowError(f"{path}, line {number}: '{word}' is no group, layout or type: "
                               f"{', '.join(GROUPS + LAYOUTS + TYPES)}")
        lines.append((shape, narrowing))
    if not lines:
        raise RowError(f"{path} names no shape")
    return lines


def named_list(name):
    """The path of a shape list: a file, or the name of one of bench/shapes/."""
    ours = ROOT / "bench/shapes" / f"{name}.txt"
    if ours.exists():
        return ours
    if Path(name).exists():
        return Path(name)
    known = sorted(path.stem for path in ours.parent.glob("*.txt"))
    raise RowError(f"--shapes is {name}: neither a file nor one of {', '.join(known)}")


def groups_of_channels(group):
    """32 of "groups32", the name of hnorm_groups(32); 0 of other groups."""
    match = re.fullmatch(r"groups([1-9]\d*)", group)
    return int(match[1]) if match else 0


def rows(lines, ops, types=TYPES, groups=GROUPS):
    found = []
    for op in ops:
        for shape, narrowing in lines:
            for group in _narrowed(groups, narrowing):
                for layout in _narrowed(LAYOUTS, narrowing):
                    for type_ in _narrowed(types, narrowing):
                        if _computes(shape, group):
                            found.append(f"{op}/{group}/{layout}/{type_}/{shape}")
    return list(dict.fromkeys(found))


def bit_rows(slot, served):
    """served: the classes of planes that the kernel takes (Manifest.served)."""
    layout = "channels_last" if slot.planes == "last" else "channels_first"
    return [f"{op}/{group}/{layout}/{slot.type}/{shape}" for op in (*MAIN_OPS, *OTHER_OPS, "backward_apply")
            for group in GROUPS for planes in served for shape in BIT_SHAPES[planes] if _computes(shape, group)]


def _narrowed(all_, words):
    chosen = tuple(word for word in words if word in all_)
    return chosen or all_


def _computes(shape, group):
    """A group of one element has no variance; groups of channels are of equal size."""
    n, channels, *spatial = extents(shape)
    of_channels = groups_of_channels(group)
    if of_channels and channels % of_channels:
        return False
    return math.prod(spatial) * (n if group == "batch" else channels // of_channels if of_channels else 1) > 1
