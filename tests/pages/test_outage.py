"""Without Redis, and with an error that nobody foresaw, a page is a sentence and recovers by itself."""

from __future__ import annotations

import logging
from pathlib import Path

import fakeredis
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard import connection
from dashboard.outage import BACK_BY_ITSELF, RETRY_S, UNEXPECTED
from tasks import settings as settings_of
from tasks.access import PROGRAM, Person
from tasks.errors import RedisUnreachable
from tasks.ledger import Ledger, keys
from tasks.settings import Settings
from tests.factories import submitted
from tests.pages.conftest import APP, Open, words_of


@pytest.fixture
def server() -> fakeredis.FakeServer:
    return fakeredis.FakeServer()


@pytest.fixture
def breakable(server: fakeredis.FakeServer, settings: Settings) -> Ledger:
    """A ledger whose server can be taken away."""
    ledger = Ledger(fakeredis.FakeRedis(server=server), settings, PROGRAM)
    connection.use(ledger, tick_s=0)
    return ledger


def test_a_board_that_had_data_keeps_them_and_says_how_old_they_are(
    open_page: Open, breakable: Ledger, server: fakeredis.FakeServer
) -> None:
    submitted(breakable, title="spring")
    page = open_page("board")
    server.connected = False
    page.run()
    assert "You see it as it was" in page.warning[0].value
    assert "spring" in words_of(page)
    server.connected = True
    page.run()
    assert not page.warning


@pytest.mark.parametrize(("name", "shown"), [("workers", "No worker is alive"), ("queues", "another program")])
def test_workers_and_queues_keep_what_they_showed_too(
    open_page: Open, breakable: Ledger, server: fakeredis.FakeServer, name: str, shown: str
) -> None:
    breakable.redis.sadd(keys.RQ_QUEUES, keys.rq_queue("emails"))
    page = open_page(name)
    server.connected = False
    page.run()
    assert "You see it as it was" in page.warning[0].value
    assert shown in words_of(page)
    server.connected = True
    page.run()
    assert not page.warning


@pytest.mark.parametrize("name", ["board", "job", "documents", "workers", "queues"])
def test_a_page_without_redis_is_a_banner_that_looks_for_its_return(
    open_page: Open, breakable: Ledger, server: fakeredis.FakeServer, name: str, paces: list[float | None]
) -> None:
    job = submitted(breakable)
    page = open_page(name, job=job)
    connection.use(breakable, tick_s=0)  # nothing seen before
    server.connected = False
    page.run()
    assert not page.exception
    assert BACK_BY_ITSELF in page.warning[0].value
    assert paces[-1] == RETRY_S
    server.connected = True
    page.run()
    assert not page.warning


def test_a_dashboard_that_starts_without_redis_says_so_and_recovers(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    st.cache_resource.clear()
    connection.use(None)

    def refusing(settings: Settings, person: Person, *, timeout_s: float) -> Ledger:
        raise RedisUnreachable(url="redis://:***@db:6379", reason="no connection")

    monkeypatch.setattr(connection, "REFUSED_FOR_S", 0.0)
    monkeypatch.setattr(connection, "connect", refusing)
    page = AppTest.from_file(APP, default_timeout=20).run()
    shown = page.warning[0].value.replace("\\", "").replace("\N{WORD JOINER}", "")  # as Markdown shows it
    assert "Redis at redis://:***@db:6379 does not answer" in shown
    back = Ledger(fakeredis.FakeRedis(), settings, PROGRAM)
    monkeypatch.setattr(connection, "connect", lambda settings, person, **_: back)
    page.run()
    assert "No jobs yet" in words_of(page)
    connection.use(None)


def failing() -> None:
    import streamlit as st

    from dashboard import outage
    from tasks.errors import JobNotFound

    outage.on_script_error(ZeroDivisionError("secret detail"))
    outage.on_script_error(JobNotFound(job="7f3"))
    st.text("the rest of the page")


def test_an_unexpected_error_is_one_sentence_and_a_traceback_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        page = AppTest.from_function(failing).run()
    assert [one.value for one in page.error] == [
        UNEXPECTED,
        "There is no job 7f3; it may have been deleted or its time on the board has passed.",
    ]
    assert "ZeroDivisionError: secret detail" in caplog.text


def test_streamlit_shows_no_details_and_no_chrome() -> None:
    import tomllib

    options = tomllib.loads((Path(APP).parent / ".streamlit" / "config.toml").read_text())
    assert options["client"] == {"toolbarMode": "minimal", "showErrorDetails": "none", "showErrorLinks": False}
    assert options["runner"]["postScriptGC"] is False
    assert options["browser"]["gatherUsageStats"] is False
    assert (
        settings_of.read(data=Path("data"), redis_url="redis://x").upload_max_bytes // 1024**2
        == options["server"]["maxUploadSize"]
    )
