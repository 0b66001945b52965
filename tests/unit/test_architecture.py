"""Imports run one way, and only tasks.settings reads the environment: DESIGN's rules, held by the machine."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETTINGS = ROOT / "tasks" / "settings.py"


def sources() -> Iterator[Path]:
    for package in ("dashboard", "tasks", "workers"):
        yield from sorted((ROOT / package).rglob("*.py"))


def test_imports_run_one_way() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "path", [path for path in sources() if path != SETTINGS], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_the_environment_is_read_by_the_settings_alone(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    told = {id(part) for node in ast.walk(tree) if _tells_a_library(node) for part in ast.walk(node)}
    read = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in ("environ", "environb", "getenv", "getenvb")
        and id(node) not in told
    ]
    assert not read, f"{path.relative_to(ROOT)} reads the environment in lines {read}"


def _tells_a_library(node: ast.AST) -> bool:
    """`os.environ.setdefault(...)` by itself: it sets a library's variable and reads none of ours."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Attribute)
        and node.value.func.attr == "setdefault"
    )


def test_no_file_of_the_dashboard_hides_another_package() -> None:
    """Streamlit may put the folder of the script on sys.path, where its files come before all others."""
    taken = {*sys.stdlib_module_names, "tasks", "workers", "dashboard", "streamlit", "redis", "rq", "lancedb"}
    here = ROOT / "dashboard"
    names = {path.stem for path in here.glob("*.py")} | {path.parent.name for path in here.glob("*/__init__.py")}
    names -= {"__init__", "__main__"}
    assert not names & taken
