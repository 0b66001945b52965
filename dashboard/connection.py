"""The doors of this process to the ledger: one Redis connection pool, one feed, one set of watched jobs.

Made on first use and shared by every viewer and by /healthz. While Redis cannot be reached nothing is kept
and the next caller tries again, so that the pages recover by themselves when it is back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import streamlit as st
from redis.exceptions import RedisError
from streamlit.connections import BaseConnection

from dashboard.feed import TICK_S, Feed
from dashboard.gate import who
from dashboard.memory.detail import Details
from dashboard.memory.mirror import Mirror
from dashboard.memory.readings import TICK_S as READING_S
from dashboard.memory.readings import Readings
from dashboard.search import Answers
from tasks import settings
from tasks.access import PROGRAM, Person
from tasks.errors import IngestboardError
from tasks.ledger import Ledger, connect
from tasks.ledger.changes import Reader
from tasks.settings import Settings

# A host that swallows packets costs a connect timeout: all viewers share one attempt in this many seconds.
REFUSED_FOR_S = 1.0
# A page says that Redis is silent after twice this time; a person does not look at a still page for longer.
ANSWER_S = 2.0


@dataclass(frozen=True)
class Shared:
    """What the viewers of this process have in common: the ledger in the hands of the program, which sees everything.

    What is read with it is shown to nobody before it went past their eyes: `RedisConnection.board` and the like.
    """

    settings: Settings
    ledger: Ledger
    feed: Feed
    details: Details
    readings: Readings


_lock = threading.Lock()
_shared: Shared | None = None
_refused: tuple[float, IngestboardError] | None = None
_door: RedisConnection | None = None
_answers_lock = threading.Lock()
_answers: Answers | None = None


def shared() -> Shared:
    """The shared objects, connecting on first use. Raises RedisUnreachable or RedisTooOld."""
    global _shared, _refused
    found = _shared
    if found is not None:
        return found
    with _lock:
        found = _shared
        if found is not None:
            return found
        if _refused is not None and time.monotonic() - _refused[0] < REFUSED_FOR_S:
            raise _refused[1]
        try:
            _shared = sharing(connect(settings.current(), PROGRAM, timeout_s=ANSWER_S))
        except IngestboardError as error:
            _refused = (time.monotonic(), error)
            raise
        _refused = None
        return _shared


def using() -> Settings:
    """The settings of this process, whether Redis can be reached or not."""
    found = _shared
    return found.settings if found is not None else settings.current()


def sharing(ledger: Ledger, *, tick_s: float = TICK_S) -> Shared:
    """The shared objects over a ledger that is connected already."""
    return Shared(
        settings=ledger.settings,
        ledger=ledger,
        feed=Feed(
            Reader(ledger),
            tick_s=tick_s,
            most=ledger.settings.board_jobs,
            grace_s=ledger.settings.cancel_grace_s,
            stalled_s=ledger.settings.stalled_minutes * 60,
        ),
        details=Details(ledger, tick_s=tick_s),
        readings=Readings(tick_s=min(READING_S, 2 * tick_s)),
    )


def use(ledger: Ledger | None, *, tick_s: float = TICK_S) -> None:
    """Share this ledger from now on; None forgets it, so that the next use connects again."""
    global _shared, _refused
    with _lock:
        _shared = sharing(ledger, tick_s=tick_s) if ledger is not None else None
        _refused = None


def answers() -> Answers:
    """The child process that answers searches; it is started by its first use, or by the server."""
    global _answers
    with _answers_lock:
        if _answers is None:
            _answers = Answers()
        return _answers


def up() -> bool:
    """Whether Redis answers now."""
    try:
        return bool(shared().ledger.redis.ping())
    except (RedisError, IngestboardError):
        return False


def later() -> Callable[[], Ledger]:
    """Gives the ledger in the hands of who looks now, once it is wanted outside of a page's run: by their role then."""
    asks = who.again(using())
    return lambda: shared().ledger.held_by(asks())


class RedisConnection(BaseConnection[Ledger]):
    """The ledger of this process as a Streamlit connection; every session gets the same pool."""

    def _connect(self, **kwargs: Any) -> Ledger:
        return shared().ledger

    @property
    def person(self) -> Person:
        """Who sits in front of the page that is being run."""
        return who.person(shared().settings)

    @property
    def ledger(self) -> Ledger:
        """The ledger in the hands of that person."""
        found = shared()
        return found.ledger.held_by(who.person(found.settings))

    @property
    def common(self) -> Ledger:
        """The ledger in the hands of this program: for what is read once and shown to all who may see it."""
        return shared().ledger

    def board(self) -> Mirror:
        """The board as that person sees it."""
        found = shared()
        return found.feed.look().seen_by(who.person(found.settings))

    @property
    def settings(self) -> Settings:
        return shared().settings

    @property
    def feed(self) -> Feed:
        return shared().feed

    @property
    def details(self) -> Details:
        return shared().details

    @property
    def readings(self) -> Readings:
        return shared().readings


def redis() -> RedisConnection:
    """The connection for a page. Raises RedisUnreachable or RedisTooOld while it cannot be made."""
    global _door
    # Asking Streamlit each time costs 0.15 ms, a few times in every tick of every viewer.
    if _door is None:
        _door = st.connection("redis", type=RedisConnection)
    return _door
