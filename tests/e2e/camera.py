"""A film for Chromium's fake camera. The pattern that it shows by itself takes a quarter of what a camera does, and as much
in its small layer as in its large one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

WIDTH, HEIGHT, FPS, FRAMES = 640, 360, 15, 45
SEED = 1
# Of 255: as grainy as a room in the evening.
GRAIN = 10
# How far the scene moves from frame to frame.
PAN = 6


def film(folder: Path) -> str:
    """The flag for Chromium. Three seconds in YUV4MPEG2, played round and round: a scene of blocks that pans, with grain."""
    random = np.random.default_rng(SEED)
    scene = np.kron(random.integers(40, 200, (HEIGHT // 20, (WIDTH + PAN * FRAMES) // 20 + 1)), np.ones((20, 20)))
    chroma = np.full(WIDTH * HEIGHT // 2, 128, np.uint8).tobytes()
    path = folder / "film.y4m"
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{FPS}:1 Ip A1:1 C420jpeg\n".encode())
        for frame in range(FRAMES):
            picture = scene[:HEIGHT, frame * PAN : frame * PAN + WIDTH] + random.integers(-GRAIN, GRAIN + 1, (HEIGHT, WIDTH))
            file.write(b"FRAME\n" + picture.clip(16, 235).astype(np.uint8).tobytes() + chroma)
    return f"--use-file-for-fake-video-capture={path}"
