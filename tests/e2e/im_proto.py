"""The chat protocol's classes, generated from `im.proto` by Google's compiler into a folder of the virtual environment."""

from __future__ import annotations

import hashlib
import importlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PROTO = Path(__file__).resolve().parents[2] / "crates/proto/proto/im.proto"


def _generated() -> Path:
    """The folder with `im_pb2.py` and `im.desc`, made once for each text of the file."""
    home = Path(sys.prefix) / "convene" / hashlib.sha256(PROTO.read_bytes()).hexdigest()[:16]
    if home.exists():
        return home
    home.parent.mkdir(exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=home.parent))
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO.parent}", f"--python_out={fresh}",
               f"--descriptor_set_out={fresh}/im.desc", PROTO.name]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    try:
        os.rename(fresh, home)
    except OSError:
        assert home.exists()  # another process was as quick
    return home


GENERATED = _generated()
sys.path.insert(0, str(GENERATED))
pb = importlib.import_module("im_pb2")
# The same as a FileDescriptorSet, for clients that read the format at run time.
DESCRIPTORS = GENERATED / "im.desc"
