"""What the tests of loading share: an upload on disk, whose name says nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.factories.reading import Put


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Writes the bytes of an upload."""

    def write(body: bytes | str) -> Path:
        path = tmp_path / "upload"
        path.write_bytes(body if isinstance(body, bytes) else body.encode())
        return path

    return write
