"""What a camera does to a clean picture: brightness, sensor noise, drop-outs. Knows nothing of scenes.

Legend: T frames, H/W pixels, C=3. Integer arithmetic on tables: equal input gives equal bytes on any CPU.
"""

from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]


@lru_cache(maxsize=256)
def _noise_table(tenths: int) -> NDArray[np.int16]:
    """The 256 mid-quantiles of a normal of sigma = tenths / 10 grey levels, rounded to integers."""
    normal = NormalDist()
    values = [round(normal.inv_cdf((i + 0.5) / 256) * tenths / 10) for i in range(256)]
    return np.array(values, np.int16)


def degrade(frames_TCHW: Bytes, gains: Sequence[float], sigmas: Sequence[float], rng: np.random.Generator) -> None:
    """Multiply frame t by gains[t], add normal noise of sigmas[t] grey levels; in place, clipped."""
    for frame, gain, sigma in zip(frames_TCHW, gains, sigmas, strict=True):
        bright = np.minimum(np.arange(256, dtype=np.int32) * round(gain * 256) >> 8, 255).astype(np.int16)
        noise = _noise_table(round(sigma * 10)).take(rng.integers(0, 256, frame.shape, dtype=np.uint8))
        noise += bright.take(frame)
        frame[...] = np.clip(noise, 0, 255, out=noise)


def drop_out(frame_CHW: Bytes, rng: np.random.Generator) -> None:
    """Lose the picture of a frame (or of the view of a part of it that is given), in place.

    Either a flat grey of random level with faint noise, or noise over the whole range of values.
    """
    if rng.random() < 0.5:
        frame_CHW[...] = rng.integers(0, 200)
        degrade(frame_CHW[None], (1.0,), (6.0,), rng)
    else:
        frame_CHW[...] = rng.integers(0, 256, frame_CHW.shape, dtype=np.uint8)
