"""The README says what is so: its settings are the settings."""

from __future__ import annotations

import re
from pathlib import Path

from tasks.settings import documented

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_lists_every_setting_with_its_default() -> None:
    text = README.read_text("utf-8")
    (table,) = re.findall(r"<!-- settings -->\n(.*?)<!-- /settings -->", text, re.DOTALL)
    expected = "| variable | default | meaning |\n| --- | --- | --- |\n" + "".join(
        f"| `{name}` | {default} | {meaning} |\n" for name, default, meaning in documented()
    )
    assert table == expected
