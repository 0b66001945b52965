"""What a server of its own rights needs in tests: certificates by openssl, and the ACL lines of the documentation."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[2] / "docs" / "redis-acl.md"


@dataclass(frozen=True)
class Certificates:
    """Files of a CA, of a server for 127.0.0.1 and of a client, and of a CA that signed neither."""

    ca: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path
    other_ca: Path


def certificates(folder: Path) -> Certificates:
    if shutil.which("openssl") is None:
        if os.environ.get("CI"):
            pytest.fail("openssl is not on PATH")
        pytest.skip("openssl is not on PATH")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("ca", "other"):
        _openssl(folder, *_new(name, f"Test {name}"), "-x509", "-days", "2")
    for name in ("server", "client"):
        _openssl(folder, *_new(name, f"Test {name}"), "-out", f"{name}.csr")
        (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
        _openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signed)
    found = [folder / name for name in ("ca.pem", "server.pem", "server.key", "client.pem", "client.key", "other.pem")]
    return Certificates(*found)


def _new(name: str, subject: str) -> tuple[str, ...]:
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key")
    return ("req", *key, "-subj", f"/CN={subject}", "-out", f"{name}.pem")


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def acl_lines(kind: str = "acl", *, password: str = "CHANGE-ME") -> list[list[str]]:
    """The ACL SETUSER commands of the documentation's blocks of that kind, as words."""
    blocks = re.findall(rf"```{kind}\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.strip()]
    return [shlex.split(line.replace("CHANGE-ME", password)) for line in lines]
