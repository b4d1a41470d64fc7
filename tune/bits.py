"""Which operations are tuned, and which rows compare a kernel's bits."""
from bench.rows import GROUPS, computes

from .process import rows_of

# The others call no kernel of their own.
TUNED_OPS = ("forward", "normalize", "backward", "moments", "backward_reduce", "forward_add_relu", "normalize_add_relu",
             "backward_add_relu")

# Rows for bits: every length modulo vectors and rows, few and many groups; small, since there are
# many. They run with the threads that the runner sets and BIT_DISPATCH, so that small tensors take
# every kernel as well.
BIT_DISPATCH = {"serial_below": 0}
BIT_SHAPES = {
    "tiny": ("3x17x2", "2x33x7", "5x70x15", "1x129x9"),
    "small": ("3x17x16", "2x33x7x7", "5x3x31", "2x70x14x14", "1x5x1024", "65x2x49", "1x40x1009"),
    "large": ("3x5x33x33", "2x17x1025", "1x3x200x103", "2x1x4161", "1x33x8191"),
    "last": ("3x17x16", "2x33x7x7", "1x5x1024", "2x70x14x14", "3x130x40", "65x8x50", "2x3x4161", "300x40", "2x2100x21",
             "3x17x2", "2x33x7", "5x70x15", "1x129x9"),
}


def bit_rows(slot, served):
    """served: the classes of planes that the kernel takes (Manifest.served)."""
    layout = "channels_last" if slot.planes == "last" else "channels_first"
    return [f"{op}/{group}/{layout}/{slot.type}/{shape}" for op in (*TUNED_OPS, "backward_apply") for group in GROUPS
            for planes in served for shape in BIT_SHAPES[planes] if computes(shape, group)]


def rows_for_bits(builder, slots):
    """{slot: the rows that call it, with one thread or several}"""
    rows = {slot: bit_rows(slot, builder.manifest.served(slot)) for slot in slots}
    stubs, all_ = builder.stubs(**BIT_DISPATCH), list(dict.fromkeys(row for some in rows.values() for row in some))
    calling = {(name, line["case"]) for threads in (1, 3) for line in rows_of(stubs, ["uses", threads], all_)
               for name in line["kernels"]}
    return {slot: [row for row in some if (str(slot), row) in calling] for slot, some in rows.items()}
