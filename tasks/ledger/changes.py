"""What changed in the ledger since a reader last looked: read in one round trip, or two when much has changed.

Redis reads the newest entries of the change index with the fields of their jobs in one command (SORT .. BY nosort
.. GET): the number of commands does not grow with the number of jobs or of changes. A server that refuses that
command (an ACL without the right to read all keys) or answers it out of order is asked job by job instead.

Every answer says whether it reaches back to the cursor. If it does not, more changed than a tick may read, and the
rest is walked in portions.
"""

from __future__ import annotations

import time
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from redis.exceptions import ResponseError

from tasks.ledger import failures, fleet, keys, packed
from tasks.ledger.connection import Ledger
from tasks.ledger.news import Beat, Cursor, Found, News, Portion, Walk
from tasks.ledger.packed import Packed
from tasks.ledger.records import Figures, number, text, whole
from tasks.ledger.states import State

ALIVE_S = 20.0
BURST = 2_000  # changes that one tick reads at most
MARGIN = 16  # rows read twice between two reads, since what is deleted moves the rest up
REMOVED_KEPT = 10_000  # as delete.lua trims
FAILURES_AT_ONCE = 500
DAY_S = 86_400

_ID, _REVISION = packed.ID, packed.REVISION
_WIDTH = len(packed.FIELDS) + 1
_GET = [part for name in packed.FIELDS for part in ("GET", f"{keys.job('*')}->{name}")]


@dataclass
class Reader:
    """Asks one ledger. Not safe to share between threads without a lock of the caller's."""

    ledger: Ledger
    sorts: bool = True
    _guess: int = 32  # changes that a tick expects
    _offset: float = 0.0  # server's clock less ours

    def now(self) -> float:
        """The server's clock, as far as it was told."""
        return time.time() + self._offset

    def start(self, cursor: Cursor, count: int) -> tuple[News, Walk | None]:
        """Begin from nothing: the newest `count` jobs, and the walk to the rest of them."""
        with self.ledger.redis.pipeline(transaction=False) as pipe:
            pipe.get(keys.REVISION)
            pipe.zrevrange(keys.JOBS, 0, count - 1, withscores=True)
            pipe.hgetall(keys.COUNTS)
            self._ask_beat(pipe, cursor)
            at, found, counts, *rest = _answers(pipe)
        revision = whole(at)
        low = min((float(score) for _, score in found), default=0.0)
        ties = sum(float(score) == low for _, score in found)
        walk = Walk("jobs", low, seen_at_low=ties) if len(found) >= count else None
        news = News(
            revision=revision,
            rows=self._rows([name for name, _ in found]),
            low=0,
            joined=True,
            older={},
            removed={},
            trimmed=False,
            counts={text(name): max(0, whole(value)) for name, value in counts.items()},
            beat=self._beat(rest),
        )
        return news, walk

    def tick(self, cursor: Cursor, known: Container[str], count: int | None, *, beat: bool) -> News:
        """What changed since the cursor: one round trip, or two when more changed than was expected.

        `known` are the jobs that the caller holds, `count` how many there should be; None when it cannot tell. What
        was removed is asked for only where the numbers differ.
        """
        with self.ledger.redis.pipeline(transaction=False) as pipe:
            pipe.get(keys.REVISION)
            self._ask_newest(pipe, 0, self._guess)
            pipe.hgetall(keys.COUNTS)
            if beat:
                self._ask_beat(pipe, cursor)
            revision, newest, counts, *rest = _answers(pipe, at=1)
        found = Found(whole(revision))
        decoded = self._decoded(newest) if self.sorts else []
        if self.sorts:
            found.take(decoded, len(newest) < self._guess * _WIDTH, cursor)
        else:
            self._one_by_one(newest, cursor, found)
        numbers = {text(name): max(0, whole(value)) for name, value in counts.items()}
        fresh = sum(row[_ID] not in known for row in found.rows)
        surely = count is not None and sum(numbers.values()) == count + fresh
        removed = self._read_on(cursor, found, ask_removed=not surely)
        # More than the last number: a tick that expects too much reads a few kilobytes for nothing.
        self._guess = min(BURST, max(8, 3 * self._guess // 4, len(found.rows) * 3 // 2 + 8))
        return News(
            revision=found.revision,
            rows=found.rows,
            low=found.low,
            joined=found.joined,
            older=found.older,
            removed=removed,
            trimmed=len(removed) >= REMOVED_KEPT,
            counts=numbers,
            beat=self._beat(rest) if rest else None,
        )

    def portion(self, walk: Walk, count: int) -> Portion:
        """The next rows of a walk: two round trips."""
        index = keys.CHANGES if walk.index == "changes" else keys.JOBS
        low = repr(walk.low)
        top = f"({low}" if walk.index == "changes" else low
        if walk.low <= 0 and walk.index == "jobs":
            return Portion([], None)
        found: Any = self.ledger.redis.zrevrangebyscore(
            index, top, f"({walk.until!r}", start=walk.seen_at_low, num=count, withscores=True
        )
        rows = self._rows([name for name, _ in found])
        if len(found) < count:
            return Portion(rows, None)
        last = float(found[-1][1])
        ties = sum(float(score) == last for _, score in found) + (walk.seen_at_low if last == walk.low else 0)
        rest = Walk(walk.index, last, walk.until, ties if walk.index == "jobs" else 0)
        return Portion(rows, rest)

    def figures(self, counts: Mapping[str, int], beat: Beat, ended: tuple[int, int]) -> Figures:
        """The line of figures; `ended` are those that were done and that failed since the beat."""
        at = counts.get
        queued = at(State.QUEUED.value, 0)
        return Figures(
            queued=queued,
            running=sum(at(state.value, 0) for state in (State.RUNNING, State.RETRYING, State.CANCELING)),
            done_today=beat.ended[0] + ended[0],
            failed_today=beat.ended[1] + ended[1],
            workers_alive=len(self.alive(beat)),
            oldest_wait_s=max(0.0, self.now() - beat.oldest) if beat.oldest and queued else None,
        )

    def alive(self, beat: Beat) -> frozenset[str]:
        """Names of the workers that had reported within 20 s when they were asked after."""
        return frozenset(name for name, at in beat.beats.items() if beat.now - at <= ALIVE_S)

    def _ask_newest(self, pipe: Any, first: int, count: int) -> None:
        if self.sorts:
            args = ("BY", "nosort", "LIMIT", first, count, "DESC", "GET", "#", *_GET)
            pipe.execute_command("SORT", keys.CHANGES, *args)
        else:
            pipe.zrevrange(keys.CHANGES, first, first + count - 1, withscores=True)

    def _read_on(self, cursor: Cursor, found: Found, *, ask_removed: bool) -> dict[str, int]:
        """The second round trip, where one is needed: what the first did not reach, and what was removed."""
        further = self.sorts and not found.joined
        if not further and not ask_removed:
            return {}
        more = min(BURST, max(500, 4 * self._guess), found.revision - cursor.changes + MARGIN)
        with self.ledger.redis.pipeline(transaction=False) as pipe:
            if further:
                self._ask_newest(pipe, max(0, self._guess - MARGIN), more)
            # As many as are kept; one more is what tells that some may be missing.
            pipe.zrangebyscore(
                keys.REMOVED, f"({cursor.removed}", "+inf", start=0, num=REMOVED_KEPT + 1, withscores=True
            )
            *newest, removed = _answers(pipe)
        for answer in newest:
            found.take(self._decoded(answer), len(answer) < more * _WIDTH, cursor)
        return {text(name): whole(score) for name, score in removed}

    def _decoded(self, answer: Any) -> list[Packed]:
        """Rows of a SORT, newest change first; a server that gives another order is not asked again."""
        if isinstance(answer, ResponseError):
            self.sorts = False
            return []
        rows = []
        for at in range(0, len(answer), _WIDTH):
            row = packed.pack(text(answer[at]), answer[at + 1 : at + _WIDTH])
            if row is not None:
                rows.append(row)
        # A damaged record has no revision.
        if any(one < other for one, other in pairwise(filter(None, (row[_REVISION] for row in rows)))):
            self.sorts = False
            return []
        return rows

    def _one_by_one(self, answer: Any, cursor: Cursor, found: Found) -> None:
        """The same by ids: for servers that do not SORT for us."""
        if isinstance(answer, ResponseError) or (answer and not isinstance(answer[0], (list, tuple))):
            answer = self.ledger.redis.zrevrange(keys.CHANGES, 0, self._guess - 1, withscores=True)
        scores = [score for _, score in _scored(answer)]
        found.rows = self._rows([name for name, score in answer if score > cursor.changes])
        found.older = {text(name): score for name, score in _scored(answer) if score <= cursor.changes}
        found.joined = len(answer) < self._guess or scores[-1] <= cursor.changes
        found.low = cursor.changes if found.joined else scores[-1]

    def _rows(self, ids: Sequence[Any]) -> list[Packed]:
        if not ids:
            return []
        with self.ledger.redis.pipeline(transaction=False) as pipe:
            for job_id in ids:
                pipe.hmget(keys.job(text(job_id)), packed.FIELDS)
            found = _answers(pipe)
        decoded = (packed.pack(text(job_id), values) for job_id, values in zip(ids, found, strict=True))
        return [row for row in decoded if row is not None]

    def _ask_beat(self, pipe: Any, cursor: Cursor) -> None:
        today = int(self.now() // DAY_S)
        ended = (State.COMPLETED, State.PARTIAL, State.FAILED)
        pipe.time()
        pipe.hmget(keys.DAYS, [f"{today}:{state.value}" for state in ended])
        pipe.zrevrange(keys.WORKERS, 0, fleet.WORKERS_MOST - 1, withscores=True)
        pipe.execute_command("INFO", "server")
        pipe.zrange(keys.WAITING, 0, 0, withscores=True)
        pipe.xrange(keys.FAILURES, f"({cursor.failures}", "+", count=FAILURES_AT_ONCE)
        pipe.hgetall(keys.PAUSED)
        pipe.hgetall(keys.USUAL)
        pipe.hgetall(keys.ACKNOWLEDGED)

    def _beat(self, answers: list[Any]) -> Beat:
        (seconds, micros), (completed, partial, failed), beats, server, oldest, entries, paused, usual, acknowledged = (
            answers
        )
        now = float(seconds) + float(micros) / 1e6
        self._offset = now - time.time()
        read = [failures.read(entry_id, fields) for entry_id, fields in entries]
        return Beat(
            now=now,
            run=text(server.get("run_id")) if isinstance(server, dict) else "",
            ended=(whole(completed) + whole(partial), whole(failed)),
            beats={text(name): float(score) for name, score in beats},
            oldest=float(oldest[0][1]) if oldest else None,
            failures=tuple(entry for entry in read if entry is not None),
            last_failure=text(entries[-1][0]) if entries else "",
            more=len(entries) >= FAILURES_AT_ONCE,
            paused={text(queue): fleet.paused_row(raw) for queue, raw in paused.items()},
            usual={text(name): number(value) for name, value in usual.items()},
            acknowledged=failures.read_acknowledged(acknowledged),
        )


def _scored(answer: Any) -> list[tuple[Any, int]]:
    return [(name, whole(score)) for name, score in answer]


def _answers(pipe: Any, at: int | None = None) -> list[Any]:
    """The answers of a pipeline. What a server may refuse stays in place as the error: INFO, and the one `at`."""
    answers: list[Any] = pipe.execute(raise_on_error=False)
    for place, answer in enumerate(answers):
        refused = isinstance(answer, ResponseError) and (place == at or "info" in str(answer).lower())
        if isinstance(answer, Exception) and not refused:
            raise answer
    return answers
