"""The example application as an image."""

import os
import subprocess
from functools import cache
from pathlib import Path

from . import images
from .server import ROOT

EXAMPLE = ROOT / "examples" / "hello"


@cache
def program() -> bytes:
    built = ROOT / "target" / "app" / "hello"
    built.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["rustc", "--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-C", "strip=symbols",
         EXAMPLE / "src" / "main.rs", "-o", built],
        env=os.environ | {"CARGO_PKG_VERSION": "1.0.0"}, check=True)
    return built.read_bytes()


def write_layout(directory: Path) -> Path:
    """The image that `docker build` would make of it."""
    layer = images.Layer()
    layer.file("hello", program(), 0o755)
    images.write_layout(directory, layer.finish(), Entrypoint=["/hello"], Cmd=[])
    return directory
