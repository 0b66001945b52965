"""What `make audit` and `make check` say of packages: no licence that is refused hides behind one that is allowed."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.metadata import distribution
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    loader = SourceFileLoader("audit", str(ROOT / ".ci" / "audit"))
    spec = spec_from_loader("audit", loader)
    assert spec is not None
    made = module_from_spec(spec)
    loader.exec_module(made)
    return made


@pytest.mark.parametrize(
    ("words", "good"),
    [
        ("MIT", True),
        ("Apache-2.0 AND MIT", True),
        ("BSD License; ISC License (ISCL)", True),
        ("GPL-3.0-only OR MIT", True),
        ("(MIT OR GPL-2.0-only) AND BSD-3-Clause", True),
        ("MIT AND GPL-3.0-only", False),
        ("MIT AND LicenseRef-Of-Somebody", False),
        ("MIT License; Other/Proprietary License", False),
        ("AGPL-3.0", False),
        ("", False),
    ],
)
def test_every_part_of_a_licence_must_be_allowed(audit: Any, words: str, good: bool) -> None:
    assert audit.allowed(words) is good


def test_a_package_that_comes_in_without_a_licence_is_told(audit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "distribution", lambda name: SimpleNamespace(files=[]))
    wrong = audit.licences({"fine": "MIT", "mute": "", "strict": "GPL-3.0-only"})
    assert [sentence.split()[0] for sentence in wrong] == ["mute", "strict", "docs/licences.md"]


def test_libraries_of_others_in_a_wheel_are_seen(audit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert any("geos" in name for name in audit.carried(distribution("shapely")))
    monkeypatch.setattr(audit, "CARRIED", {})
    monkeypatch.setattr(audit, "PAGE", ROOT / "no-such-page")
    assert any("libgeos" in sentence for sentence in audit.licences({"shapely": "BSD"}))


@pytest.mark.parametrize(
    ("answer", "known", "looked_up"),
    [
        ("no source", [], 0),
        (json.dumps({"dependencies": [{"name": "a", "skip_reason": "unreachable"}]}), [], 0),
        (
            json.dumps(
                {
                    "dependencies": [
                        {"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]},
                        {"name": "b", "version": "1", "vulns": []},
                    ]
                }
            ),
            ["a 1 has CVE-1; fixed in 2."],
            2,
        ),
    ],
)
def test_what_could_not_be_looked_up_is_not_called_safe(
    audit: Any, monkeypatch: pytest.MonkeyPatch, answer: str, known: list[str], looked_up: int
) -> None:
    monkeypatch.setattr(audit.subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=answer))
    assert audit.advisories() == (known, looked_up)


def test_the_bill_of_materials_names_every_locked_package_with_its_hashes(audit: Any, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements", str(ROOT / "requirements.txt")]
    # `make sbom` holds it against the schema too, which takes seconds.
    subprocess.run([*command, "--no-validate", "-o", tmp_path / "bom.json"], check=True, capture_output=True)
    components = json.loads((tmp_path / "bom.json").read_text())["components"]
    assert sorted(one["name"] for one in components) == sorted(audit.locked())
    assert all(one["version"] and one["purl"].startswith("pkg:pypi/") for one in components)
    assert all(one["externalReferences"][0]["hashes"] for one in components)
