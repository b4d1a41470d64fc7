"""python transfer.py CONTENT STYLE RESULT: gives each channel of one picture the mean and deviation of another's."""
import sys

import hnorm
import numpy as np
from PIL import Image


def read(path):
    """Shape (1, 3, H, W). The memory stays that of the picture, in which the channels are adjacent."""
    return np.asarray(Image.open(path).convert("RGB"), np.float32).transpose(2, 0, 1)[None]


content, style = read(sys.argv[1]), read(sys.argv[2])
wanted = hnorm.moments(style, hnorm.Group.instance)
result = hnorm.forward(content, hnorm.Group.instance, gamma=np.sqrt(wanted.variance), beta=wanted.mean)
pixels = result[0].transpose(1, 2, 0).clip(0, 255).round()
Image.fromarray(pixels.astype(np.uint8)).save(sys.argv[3])
