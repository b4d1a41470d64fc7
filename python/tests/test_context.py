"""A context has settings for the calls of one thread or of one layer."""
import os
import subprocess
import sys
import threading

import hnorm
import numpy as np
import pytest
from reference import random

X = random((4, 6, 5))
EXPECTED = hnorm.forward(X, hnorm.Group.batch)


def test_settings_are_those_that_were_given():
    context = hnorm.Context()
    assert (context.num_threads, context.target) == (hnorm.Context().num_threads, hnorm.target())
    slowest = [target.name for target in hnorm.targets() if not target.unusable][-1]
    context = hnorm.Context(num_threads=3, target=slowest)
    assert (context.num_threads, context.target) == (3, slowest)
    context.num_threads, context.target = 2, ""
    assert (context.num_threads, context.target) == (2, hnorm.target())
    with pytest.raises(hnorm.Error, match="threads is 257"):
        hnorm.Context(num_threads=257)
    with pytest.raises(hnorm.Error, match="pdp-11"):
        context.target = "pdp-11"


def test_no_context_changes_a_result():
    for target in hnorm.targets():
        if not target.unusable:
            with hnorm.use_context(hnorm.Context(2, target.name)):
                assert np.array_equal(hnorm.forward(X, hnorm.Group.batch), EXPECTED)


def test_a_context_is_kept_while_a_layer_has_it():
    bn = hnorm.BatchNorm(6)
    bn.set_context(hnorm.Context(num_threads=2))
    assert np.array_equal(bn.forward(X), EXPECTED)
    bn.set_context(None)
    assert np.array_equal(bn.forward(X), EXPECTED)
    with pytest.raises((TypeError, RuntimeError)):
        bn.set_context(2)


USES = """import hnorm, numpy, sys
x, bn, context = numpy.ones((2, 4), "f4"), hnorm.BatchNorm(4), hnorm.Context(target=sys.argv[1])
def fails():
    try:
        bn.forward(x)
    except hnorm.Error:
        return True
assert fails()
with hnorm.use_context(context):
    bn.forward(x)
assert fails()
bn.set_context(context)
bn.forward(x)
bn.set_context(None)
assert fails()
"""


def test_calls_use_the_context():
    """The process has a target that does not exist, so a call succeeds with the context's alone."""
    done = subprocess.run([sys.executable, "-c", USES, hnorm.target()], capture_output=True, text=True,
                          env={**os.environ, "HNORM_TARGET": "pdp-11"})
    assert done.returncode == 0, done.stderr


def test_blocks_are_nested_and_end_with_an_exception():
    used = hnorm._used
    outer, inner = hnorm.Context(), hnorm.Context()
    with hnorm.use_context(outer) as context:
        assert context is outer
        with pytest.raises(KeyError), hnorm.use_context(inner):
            seen = []
            thread = threading.Thread(target=lambda: seen.append(getattr(used, "context", None)))
            thread.start()
            thread.join()
            assert seen == [None] and used.context is inner
            raise KeyError
        assert used.context is outer
    assert used.context is None
