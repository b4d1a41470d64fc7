"""Which rows compare a kernel's bits."""
from .build import rows_of
from .rows import BIT_DISPATCH, bit_rows


def rows_for_bits(builder, slots):
    """{slot: the rows that call it, with one thread or several}"""
    rows = {slot: bit_rows(slot, builder.manifest.served(slot)) for slot in slots}
    probe, all_ = builder.probe(**BIT_DISPATCH), list(dict.fromkeys(row for some in rows.values() for row in some))
    calling = {(name, line["case"]) for threads in (1, 3) for line in rows_of(probe, ["uses", threads], all_)
               for name in line["kernels"]}
    return {slot: [row for row in some if (str(slot), row) in calling] for slot, some in rows.items()}
