"""Certificates that were not made by Neargate."""

import subprocess
from pathlib import Path


def openssl(*words: str, stdin: str = "") -> str:
    done = subprocess.run(["openssl", *words], input=stdin, capture_output=True, text=True)
    assert done.returncode == 0, f"openssl {' '.join(words)}\n{done.stderr}"
    return done.stdout


def self_signed(directory: Path, name: str, *options: str) -> tuple[str, str]:
    """Certificate and key in PEM. The options choose the kind of key; P-256 without."""
    key, certificate = directory / f"{name}.key", directory / f"{name}.pem"
    kind = options or ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    openssl("req", "-x509", *kind, "-nodes", "-keyout", str(key), "-out", str(certificate), "-days", "30",
            "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}")
    return certificate.read_text(), key.read_text()
