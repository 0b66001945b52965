"""What is made cheaper stays what it was."""

from __future__ import annotations

import pytest
from streamlit import config
from streamlit.proto.NewSession_pb2 import CustomThemeConfig
from streamlit.runtime import app_session
from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage
from streamlit.testing.v1 import AppTest

from dashboard import lighter
from tests.waiting import wait_until


def test_finished_html_is_shown_as_it_is() -> None:
    def page() -> None:
        import streamlit as st

        from dashboard.lighter import Ready

        st.html(Ready("<p>one</p>\n    <p>two</p>"))

    (shown,) = AppTest.from_function(page).run().html
    assert shown.value == "<p>one</p>\n    <p>two</p>"


def test_the_options_of_a_section_are_those_that_streamlit_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    read = config.get_options_for_section
    monkeypatch.setattr(config, "get_options_for_section", read)  # put back afterwards
    expected = {section: read(section) for section in ("theme", "theme.dark", "theme.light.sidebar", "server")}
    lighter.keep_options()
    for section, options in expected.items():
        found = config.get_options_for_section(section)
        assert found == options
        found.clear()
        assert config.get_options_for_section(section) == options


def test_the_theme_that_a_page_is_sent_is_the_one_that_streamlit_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    fill = app_session._populate_theme_msg
    monkeypatch.setattr(app_session, "_populate_theme_msg", fill)  # put back afterwards
    before = config.get_option("theme.dark.primaryColor")
    config.set_option("theme.dark.primaryColor", "#123456")
    try:
        lighter.keep_themes()
        for section in ("theme", "theme.light", "theme.dark", "theme.sidebar", "theme.dark.sidebar"):
            expected, found = CustomThemeConfig(), CustomThemeConfig()
            fill(expected, section)
            app_session._populate_theme_msg(found, section)
            assert found == expected
            assert (found.primary_color == "#123456") is (section == "theme.dark")
    finally:
        config.set_option("theme.dark.primaryColor", before)


def test_what_no_page_offers_any_more_is_looked_for_once_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[MediaFileManager] = []
    monkeypatch.setattr(MediaFileManager, "remove_orphaned_files", looks.append)
    monkeypatch.setattr(lighter, "TIDY_EVERY_S", 0.05)
    lighter.tidy_less_often()
    files = MediaFileManager(MemoryMediaFileStorage("/media"))
    for _ in range(20):
        files.remove_orphaned_files()
    assert len(looks) == 1

    def looked_again() -> bool:
        files.remove_orphaned_files()
        return len(looks) > 1

    wait_until(looked_again, what="the next look")
