"""What the pages say when something is away or breaks: one sentence, never a traceback.

A page that cannot be shown because Redis is away polls for its return and then shows itself again.
"""

from __future__ import annotations

import logging

import streamlit as st
from redis.exceptions import RedisError, ResponseError

from dashboard import connection, markup
from dashboard.format import coarse
from tasks.errors import IngestboardError, RedisTooOld, RedisUnreachable
from tasks.ledger import trouble

log = logging.getLogger("ingestboard.dashboard")

RETRY_S = 2.0
ICON = ":material/cloud_off:"
DRAWN = "outage:drawn"
AWAY = (RedisError, RedisUnreachable, RedisTooOld)
BACK_BY_ITSELF = "This page goes on by itself as soon as it is back; running jobs are not lost."
UNEXPECTED = "This page met an unexpected error. Reload it; if that does not help, the dashboard's log has the details."


def wait_for_redis() -> None:
    """A fragment without a face: it runs the page again once Redis answers, never in the run that it was drawn in."""
    if st.session_state.pop(DRAWN, False):
        return
    if connection.up() and not connection.redis().feed.look().down:
        st.rerun()


def banner(error: Exception | None = None) -> None:
    """Say that Redis is away, and show the page again by itself when it is back."""
    said = "Redis does not answer."
    if isinstance(error, IngestboardError):
        said = markup.literal(error)
    elif error is not None:
        log.warning("Redis does not answer: %s", error)
    st.warning(f"{said}\n\n{BACK_BY_ITSELF}", icon=ICON)
    st.session_state[DRAWN] = True
    st.fragment(wait_for_redis, run_every=RETRY_S)()


def banner_if_down() -> None:
    """For a page without a live part: the banner above what it can show without Redis."""
    if connection.redis().feed.look().down:
        banner()


def inline(age_s: float) -> None:
    """Say inside a live part that it shows older data."""
    st.warning(f"Redis does not answer. You see it as it was {coarse(age_s)} ago. {BACK_BY_ITSELF}", icon=ICON)


def on_script_error(error: Exception) -> bool:
    """The outermost loop of every script run, callback and fragment: log it, say one sentence."""
    if isinstance(error, AWAY):
        log.warning("Redis does not answer: %s", error)
        if isinstance(error, ResponseError) and trouble.passes(error):
            st.warning(
                f"Redis takes no changes ({markup.literal(trouble.reason(error))}); try again when that is over.",
                icon=ICON,
            )
        else:
            st.warning("Redis does not answer; try again in a moment.", icon=ICON)
    elif isinstance(error, IngestboardError):
        st.error(markup.literal(error), icon=":material/error:")
    else:
        log.error("A page met an unexpected error.", exc_info=error)
        st.error(UNEXPECTED, icon=":material/error:")
    return True
