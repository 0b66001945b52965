"""What the pages say when something is away or breaks: one sentence, never a traceback.

A page that cannot be shown because Redis is away polls for its return and then shows itself again.
"""

from __future__ import annotations

import logging

import streamlit as st
from redis.exceptions import RedisError

from dashboard import connection
from tasks.errors import IngestboardError, RedisTooOld, RedisUnreachable

log = logging.getLogger("ingestboard.dashboard")

RETRY_S = 2.0
AWAY = (RedisError, RedisUnreachable)
BACK_BY_ITSELF = "This page goes on by itself as soon as it is back; running jobs are not lost."
UNEXPECTED = "This page met an unexpected error. Reload it; if that does not help, the dashboard's log has the details."


def wait_for_redis() -> None:
    """A fragment without a face: it runs the page again once Redis answers."""
    if connection.up():
        st.rerun()


def banner(error: Exception) -> None:
    """Say that Redis is away in place of the page, and come back by itself."""
    if isinstance(error, (RedisUnreachable, RedisTooOld)):
        said = str(error)
    else:
        log.warning("Redis does not answer: %s", error)
        said = "Redis does not answer."
    st.warning(f"{said}\n\n{BACK_BY_ITSELF}", icon=":material/cloud_off:")
    st.fragment(wait_for_redis, run_every=RETRY_S)()


def inline(age: str) -> None:
    """Say inside a live part that it shows older data."""
    st.warning(f"Redis does not answer. You see the board of {age} ago. {BACK_BY_ITSELF}", icon=":material/cloud_off:")


def on_script_error(error: Exception) -> bool:
    """The outermost loop of every script run, callback and fragment: log it, say one sentence."""
    if isinstance(error, AWAY):
        st.warning(f"Redis does not answer. {BACK_BY_ITSELF}", icon=":material/cloud_off:")
    elif isinstance(error, IngestboardError):
        st.error(str(error), icon=":material/error:")
    else:
        log.error("A page met an unexpected error.", exc_info=error)
        st.error(UNEXPECTED, icon=":material/error:")
    return True
