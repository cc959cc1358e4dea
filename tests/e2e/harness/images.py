"""Small OCI images, written as layouts and pushed by skopeo."""

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path

BUSYBOX = Path("/bin/busybox")
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

PASSWD = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/:/bin/sh\n"
GROUP = "root:x:0:\nstaff:x:1001:\n"


class Layer:
    def __init__(self) -> None:
        self.bytes = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.bytes, mode="w")

    def directory(self, name: str, mode: int = 0o755, owner: int = 0) -> None:
        self._add(name, tarfile.DIRTYPE, mode, owner=owner)

    def link(self, name: str, target: str) -> None:
        self._add(name, tarfile.SYMTYPE, 0o777, link=target)

    def file(self, name: str, data: bytes, mode: int = 0o644) -> None:
        self._add(name, tarfile.REGTYPE, mode, data)

    def _add(self, name, kind, mode, data=b"", link="", owner=0) -> None:
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode, entry.linkname, entry.size = kind, mode, link, len(data)
        entry.uid = entry.gid = owner
        self.tar.addfile(entry, io.BytesIO(data))

    def finish(self) -> bytes:
        self.tar.close()
        return self.bytes.getvalue()


def busybox_layer() -> bytes:
    layer = Layer()
    for directory in ("bin", "etc", "root", "www", "proc", "sys", "dev"):
        layer.directory(directory)
    layer.directory("tmp", 0o1777)
    layer.directory("data", 0o750, owner=1000)
    layer.file("data/seed", b"from the image\n")
    layer.file("bin/busybox", BUSYBOX.read_bytes(), 0o755)
    for applet in subprocess.check_output([BUSYBOX, "--list"], text=True).split():
        if applet != "busybox":
            layer.link(f"bin/{applet}", "busybox")
    layer.file("etc/passwd", PASSWD.encode())
    layer.file("etc/group", GROUP.encode())
    layer.file("www/index.html", b"hello from neargate\n")
    return layer.finish()


def write_layout(directory: Path, layer: bytes, more: list[bytes] = (), architecture: str = "amd64", **config) -> None:
    """An image layout with a layer, and more on top of it; `config` is the image configuration's."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(kind: str, data: bytes) -> dict:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    layers = [layer, *more]
    packed = [blob(LAYER, gzip.compress(layer, 1, mtime=0)) for layer in layers]
    diff_ids = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    image = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Env": ["PATH=/bin", "FROM_IMAGE=yes"], "Cmd": ["httpd", "-f", "-p", "8080", "-h", "/www"], **config},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": blob(CONFIG, json.dumps(image).encode()),
        "layers": packed,
    }
    index = {"schemaVersion": 2, "manifests": [blob(MANIFEST, json.dumps(manifest).encode())]}
    (directory / "index.json").write_text(json.dumps(index))
    (directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')


def push(directory: Path, registry: str, name: str) -> None:
    subprocess.run(
        ["skopeo", "copy", "--quiet", "--dest-tls-verify=false", "--dest-creds=AWS:any",
         f"oci:{directory}", f"docker://{registry}/{name}"],
        check=True, capture_output=True, text=True,
    )
