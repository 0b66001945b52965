"""GET /metrics: the figures of the board for Prometheus. Names of states, queues and collections, and numbers.

Figures go by what the token's person sees: of a collection that is for others there is no series, and its jobs and
documents are in no sum. Without a token only where nobody signs in, which is on loopback alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import psutil
from redis.exceptions import RedisError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from streamlit import runtime

from dashboard import connection
from dashboard.api import answers, entering, exposition
from dashboard.api.exposition import Family, one
from dashboard.memory.mirror import Mirror
from dashboard.memory.query import Query, Term
from tasks import __version__, catalog, settings
from tasks.access import PROGRAM
from tasks.errors import NotAllowed, RedisUnreachable
from tasks.ledger import Ledger, foreign, keys, monitor, packed
from tasks.ledger.records import text, whole
from tasks.ledger.states import FINAL, State
from tasks.settings import QUEUES

DAY_S = 86_400


async def answer(request: Request) -> Response:
    found = await run_in_threadpool(_read, request)
    return Response(found, headers={**answers.HEADERS, "Content-Type": exposition.CONTENT_TYPE})


def _read(request: Request) -> str:
    try:
        ledger, _ = entering.enter_or_local(request)
    except RedisUnreachable:
        if settings.current().auth == "local" and not request.headers.get("authorization"):
            return exposition.text([_up(False), *process()])
        raise
    person = ledger.person
    if not person.sees(""):
        raise NotAllowed(person=person.signs(), right="see this board", role="none", needed="viewer")
    board = connection.shared().feed.look().seen_by(person)
    if board.down:
        return exposition.text([_up(False), *process()])
    try:
        figures = [*of_board(ledger, board), *of_queues(), *of_shelf(ledger, board)]
    except RedisError:
        return exposition.text([_up(False), *process()])
    return exposition.text([_up(True), *process(), *figures])


def _up(up: bool) -> Family:
    return one("ingestboard_redis_up", "gauge", "Whether Redis answers.", float(up))


def process() -> Iterator[Family]:
    """What this process uses, and how many pages are open in it."""
    mine = psutil.Process()
    used = mine.cpu_times()
    yield Family("ingestboard_info", "gauge", "The version that runs.", (({"version": __version__}, 1.0),))
    yield one("process_resident_memory_bytes", "gauge", "Memory of the dashboard.", float(mine.memory_info().rss))
    yield one("process_cpu_seconds_total", "counter", "CPU time of the dashboard.", used.user + used.system)
    yield one("process_start_time_seconds", "gauge", "When the dashboard started.", mine.create_time())
    yield one("ingestboard_viewers", "gauge", "Pages that are open in this dashboard.", float(_viewers()))


def of_board(ledger: Ledger, board: Mirror) -> Iterator[Family]:
    """Jobs and workers, as the person sees them; what is counted over all collections only for who sees them all."""
    counts = board.counts(Query())
    about = "Jobs on the board by state."
    yield Family("ingestboard_jobs", "gauge", about, tuple(({"state": state.value}, counts[state]) for state in State))
    ended = _ended_today(ledger, board)
    about = "Jobs that ended since midnight UTC by state."
    values = tuple(({"state": state.value}, float(ended[state])) for state in State if state in FINAL)
    yield Family("ingestboard_jobs_ended_today", "gauge", about, values)
    yield one("ingestboard_workers_alive", "gauge", "Workers that report.", float(board.figures.workers_alive))
    yield one("ingestboard_board_age_seconds", "gauge", "Since the board was read last.", board.age_s)
    yield one("ingestboard_jobs_marked", "gauge", "Live jobs that need an eye.", float(len(board.concerns())))
    if ledger.person.limited:
        return
    rates = list(monitor.rates(ledger).values())
    for what, total in (
        ("documents", sum(rate.documents for rate in rates)),
        ("chunks", sum(rate.chunks for rate in rates)),
        ("bytes", sum(rate.bytes for rate in rates)),
    ):
        yield one(f"ingestboard_embedded_{what}_total", "counter", f"{what.capitalize()} embedded here so far.", total)


def of_queues() -> Iterator[Family]:
    """Our three queues; that something waits in them is told to everybody, what it is not."""
    shared = connection.shared()
    found = shared.readings.look("metrics: queues", lambda: foreign.overview(shared.ledger)).value
    ours = [(priority, row) for priority, row in zip(QUEUES, found.rows, strict=False) if row.ours]
    for name, about, values in (
        ("depth", "Entries that wait in a queue.", [float(row.depth) for _, row in ours]),
        ("oldest_wait_seconds", "Wait of the oldest entry.", [row.oldest_wait_s or 0.0 for _, row in ours]),
        ("paused", "Whether a queue is paused.", [float(row.paused is not None) for _, row in ours]),
    ):
        labelled = tuple(({"queue": queue}, value) for (queue, _), value in zip(ours, values, strict=True))
        yield Family(f"ingestboard_queue_{name}", "gauge", about, labelled)


def of_shelf(ledger: Ledger, board: Mirror) -> Iterator[Family]:
    """The collections that the person sees."""
    shared = connection.shared()
    read = shared.readings.look("metrics: collections", lambda: catalog.collections(shared.settings, PROGRAM)).value
    rows = [row for row in read if ledger.person.sees(row.name)]
    for name, about, values in (
        ("documents", "Documents in the current snapshot.", [row.documents for row in rows]),
        ("chunks", "Chunks in the current snapshot.", [row.chunks for row in rows]),
        ("bytes", "Size of the current snapshot.", [row.size_bytes for row in rows]),
        ("snapshots", "Snapshots that are kept.", [row.versions for row in rows]),
    ):
        labelled = tuple(({"collection": row.name}, float(value)) for row, value in zip(rows, values, strict=True))
        yield Family(f"ingestboard_collection_{name}", "gauge", about, labelled)
        yield one(f"ingestboard_{name}", "gauge", f"The same of all collections. {about}", float(sum(values)))
    usual = tuple(
        ({"collection": name}, seconds) for name, seconds in sorted(board.usual.items()) if ledger.person.sees(name)
    )
    about = "Seconds that 95 of 100 jobs of a collection stay under."
    yield Family("ingestboard_collection_run_p95_seconds", "gauge", about, usual)


def _ended_today(ledger: Ledger, board: Mirror) -> Counter[str]:
    if not board.hidden:
        today = int(board.now() // DAY_S)
        days = {text(name): whole(count) for name, count in ledger.redis.hgetall(keys.DAYS).items()}
        return Counter({state.value: days.get(f"{today}:{state.value}", 0) for state in FINAL})
    midnight = board.now() // DAY_S * DAY_S
    rows = (board.memory.rows.by_id.get(job) for job in board.ids(Query((Term("newer", "60d"),))))
    return Counter(row[packed.STATE] for row in rows if row is not None and row[packed.ENDED] >= midnight)


def _viewers() -> int:
    """Sessions of Streamlit with an open WebSocket; its manager is not public, so it may be another one some day."""
    if not runtime.exists():
        return 0
    sessions = getattr(runtime.get_instance(), "_session_mgr", None)
    return int(sessions.num_active_sessions()) if sessions is not None else 0
