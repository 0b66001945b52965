"""What makes a tick of a live page cheaper: things that Streamlit does anew in every run of every viewer.

With 300 viewers a millisecond a tick is a third of a core; docs/benchmarks.md has the figures. Nothing here changes
what a page shows.
"""

from __future__ import annotations

import threading
import time
from functools import cache
from typing import Any

from streamlit import config
from streamlit.proto.NewSession_pb2 import CustomThemeConfig
from streamlit.runtime import app_session
from streamlit.runtime.media_file_manager import MediaFileManager

TIDY_EVERY_S = 1.0


class Ready:
    """HTML of ours that is finished: Streamlit neither dedents it nor looks whether it names a file."""

    __slots__ = ("_html",)

    def __init__(self, html: str) -> None:
        self._html = html

    def _repr_html_(self) -> str:
        return self._html


def keep_options() -> None:
    """Read the options of a section once. Call it when all of them are set.

    Each run sends the theme, for which Streamlit 1.67 walks through all of its options for each of six sections:
    0.4 ms of a tick's 3.8 ms.
    """
    read = config.get_options_for_section

    @cache
    def kept(section: str) -> dict[str, Any]:
        return read(section)

    def of_section(section: str) -> dict[str, Any]:
        return dict(kept(section))

    config.get_options_for_section = of_section


def keep_themes() -> None:
    """Make the theme that each run sends once: its options do not change. 0.1 ms of a tick."""
    fill = app_session._populate_theme_msg

    @cache
    def kept(section: str) -> CustomThemeConfig:
        made = CustomThemeConfig()
        fill(made, section)
        return made

    def copied(msg: CustomThemeConfig, section: str = "theme") -> None:
        msg.MergeFrom(kept(section))

    app_session._populate_theme_msg = copied


def tidy_less_often() -> None:
    """Look for files that no page offers any more once a second, not after every run of every viewer.

    A page that offers a CSV holds one such file, so that each look goes through those of all viewers. What is left
    over is found a second later, or with the next run of anybody.
    """
    look = MediaFileManager.remove_orphaned_files
    lock = threading.Lock()
    due = 0.0

    def seldom(self: MediaFileManager) -> None:
        nonlocal due
        with lock:
            if time.monotonic() < due:
                return
            due = time.monotonic() + TIDY_EVERY_S
        look(self)

    MediaFileManager.remove_orphaned_files = seldom  # type: ignore[method-assign]
