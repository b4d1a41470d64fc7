"""The ten lines of examples/python give one picture the channels' means and deviations of another."""
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")
EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_result_has_the_statistics_of_the_style(tmp_path):
    content, style, result = EXAMPLES / "data/rocket.jpg", EXAMPLES / "data/chelsea.png", tmp_path / "result.png"
    subprocess.run([sys.executable, EXAMPLES / "python/transfer.py", content, style, result], check=True)
    content, style, result = (np.asarray(Image.open(path).convert("RGB"), float) for path in (content, style, result))
    assert result.shape == content.shape
    expected = (content - content.mean((0, 1))) / content.std((0, 1)) * style.std((0, 1)) + style.mean((0, 1))
    assert np.abs(result - expected.clip(0, 255)).max() <= 0.51  # rounded
    assert np.abs(result.mean((0, 1)) - style.mean((0, 1))).max() < 2  # clipped
