"""Voice messages made by FFmpeg's muxers and libopus (PyAV), as other apps would send them."""

from __future__ import annotations

import io

import av
import numpy as np

RATE = 48_000
FRAME = 960  # 20 ms


def beeps(seconds: float, level: float = 0.3) -> np.ndarray:
    """A 440 Hz tone that is on and off in turn, half a second each; starts with on."""
    at = np.arange(int(seconds * RATE)) / RATE
    return (np.sin(2 * np.pi * 440 * at) * (at % 1.0 < 0.5) * level * 32_767).astype(np.int16)


def encode(samples: np.ndarray, container: str, codec: str = "libopus", bit_rate: int = 24_000, **options: str) -> bytes:
    """`container`: "ogg", "webm", "wav"; `options`: of the encoder."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        stream = file.add_stream(codec, rate=RATE, layout="mono", options=options)
        stream.bit_rate = bit_rate
        for start in range(0, len(samples), FRAME):
            piece = samples[start:start + FRAME].reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(piece, format="s16", layout="mono")
            frame.sample_rate, frame.pts = RATE, start
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return out.getvalue()


def decode(data: bytes) -> tuple[str, np.ndarray]:
    """Container name, and all samples of the first channel."""
    with av.open(io.BytesIO(data)) as file:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        frames = [out for frame in file.decode(audio=0) for out in resampler.resample(frame)]
        return file.format.name, np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
