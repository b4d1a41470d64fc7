"""The rows that are measured, op/group/layout/type/NxCx..., from lists of shapes and the table of operations."""
import json
import math
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_MANIFEST = json.loads((ROOT / "generators/kernels.json").read_text())
GROUPS, LAYOUTS, TYPES = (tuple(_MANIFEST[name]) for name in ("groups", "layouts", "types"))
# {name: tensors that a call must read and write at least}
OPERATIONS = {name: int(read) + int(written) for name, read, written in re.findall(
    r"^OPERATION\((\w+), .* (\d+), +(\d+)\)$", (ROOT / "bench/engine/operations.inc").read_text(), re.M)}
# Those that are measured unless others are named. A schedule file is held to them (no row slower
# than before).
MAIN_OPS = ("forward", "normalize", "backward")


class RowError(ValueError):
    pass


class Row:
    def __init__(self, name):
        self.name = name
        self.op, self.group, self.layout, self.type, shape = name.split("/")
        self.shape = [int(extent) for extent in shape.split("x")]
        self.elements = math.prod(self.shape)
        self.bytes = self.elements * int(re.search(r"\d+", self.type)[0]) // 8  # of a tensor
        self.bytes_moved = self.bytes * OPERATIONS[self.op]
        self.last = self.layout == "channels_last"
        self.groups = groups_of_channels(self.group)


def read_shapes(path):
    """Lines of a list: a shape, and words that narrow its rows to operations, groups, layouts or types. A log of a
    program's calls (docs/tuning.md) is such a list. tools/shapes.cpp reads the same."""
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
            if not any(is_word(word) for is_word in (is_operation, is_group, is_layout, is_type)):
                known = [*filter(is_operation, OPERATIONS), *GROUPS, "groupsG", *LAYOUTS, *TYPES]
                raise RowError(f"{path}, line {number}: '{word}' is no operation, group, layout or type: "
                               f"{', '.join(known)}")
        lines.append((shape, narrowing))
    if not lines:
        raise RowError(f"{path} names no shape")
    return lines


def named_list(name):
    """The path of a shape list: a file, or the name of one of bench/shapes/."""
    ours = ROOT / "bench/shapes" / f"{name}.txt"
    if ours.exists():
        return ours
    if Path(name).is_file():
        return Path(name)
    known = sorted(path.stem for path in ours.parent.glob("*.txt"))
    raise RowError(f"--shapes is {name}: neither a file nor one of {', '.join(known)}")


def groups_of_channels(group):
    """32 of "groups32", the name of hnorm_groups(32); 0 of other groups."""
    match = re.fullmatch(r"groups([1-9]\d*)", group)
    return int(match[1]) if match else 0


def is_operation(word):
    return word in OPERATIONS and word != "copy"


def is_group(word):
    return word in GROUPS or groups_of_channels(word) > 0


def is_layout(word):
    return word in LAYOUTS


def is_type(word):
    return word in TYPES


def rows(lines, ops=None, types=None, groups=None, layouts=None, usual_ops=MAIN_OPS, usual_types=TYPES):
    """ops to layouts: what was asked for, of which a line's words leave some. None: the line's words decide, or else
    what is usual."""
    def chosen(asked, usual, is_word, words):
        named = [word for word in words if is_word(word)]
        if asked is None:
            return named or usual
        return [one for one in asked if not named or one in named]

    found = {}  # by operation
    for shape, words in lines:
        for op in chosen(ops, usual_ops, is_operation, words):
            of_shape = [f"{op}/{group}/{layout}/{type_}/{shape}" for type_ in chosen(types, usual_types, is_type, words)
                        for group in chosen(groups, GROUPS, is_group, words)
                        for layout in chosen(layouts, LAYOUTS, is_layout, words) if computes(shape, group)]
            # A copy knows no groups and layouts.
            found.setdefault(op, []).extend(of_shape[:1] if op == "copy" else of_shape)
    return list(dict.fromkeys(row for op in ops or OPERATIONS for row in found.get(op, ())))


def computes(shape, group):
    """A group of one element has no variance; groups of channels are of equal size."""
    n, channels, *spatial = (int(extent) for extent in shape.split("x"))
    of_channels = groups_of_channels(group)
    if of_channels and channels % of_channels:
        return False
    return math.prod(spatial) * (n if group == "batch" else channels // of_channels if of_channels else 1) > 1
