"""What is made cheaper stays what it was."""

from __future__ import annotations

import pytest
from streamlit import config
from streamlit.testing.v1 import AppTest

from dashboard import lighter


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
