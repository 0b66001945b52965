"""Garbage of every type under every key: a reader shows what is left, or says a sentence, and raises nothing else.

`make fuzz` runs the same for long and prints what it tried.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from dashboard.feed import Feed
from dashboard.memory.query import parse
from tasks import bulk, repairs
from tasks import settings as settings_of
from tasks.access import PROGRAM
from tasks.errors import IngestboardError
from tasks.ledger import (
    Ledger,
    activity,
    connection,
    failures,
    fleet,
    foreign,
    history,
    journal,
    keys,
    limits,
    monitor,
    packed,
    presence,
    queues,
    records,
    saved,
    store,
    tokens,
    waiting,
)
from tasks.ledger.changes import Reader
from tasks.ledger.news import Cursor, Walk
from tests.factories import claimed, finish_documents, submitted
from tests.fuzz import garbage
from tests.fuzz.garbage import Names, Spoil
from tests.fuzz.outcomes import CASES, tried

NOW = datetime.now(UTC)
# The suite tries the same cases each time, `make fuzz` others. One that failed is not made smaller: each takes a while.
QUIET = settings(
    max_examples=max(50, CASES // 3),
    database=None,
    deadline=None,
    derandomize=CASES <= 150,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def ledger(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A ledger as our programs have it, with their client."""
    using = settings_of.read(data=tmp_path_factory.mktemp("data"), redis_url=redis_url)
    made = Ledger(connection.client(redis_url), using, PROGRAM)
    yield made
    made.close()


def filled(ledger: Ledger) -> tuple[Names, str]:
    """Two jobs, one of which will be spoiled, and something of everything that readers show; the other one's id."""
    redis = ledger.redis
    redis.flushdb()
    # The disk remembers the ledgers before this one too.
    journal.set_aside(ledger.settings)
    (journal.folder(ledger.settings) / journal.SEEN).unlink(missing_ok=True)
    good, bad = submitted(ledger, 2), submitted(ledger, 3)
    finish_documents(ledger, claimed(ledger, bad, "0", "w1"), failing=[0])
    now = ledger.now()
    redis.zadd(keys.WORKERS, {"w1": now, "w2": now})
    redis.zadd(keys.POOLS, {"host-1": now})
    redis.hset(keys.worker("w2"), mapping={"pool": "host-1", "delivery": f"{bad}:0"})
    redis.hset(keys.rq_worker("w2"), mapping={"state": "busy", "ingestboard_job": bad})
    redis.hset(keys.SAVED_VIEWS, "mine", json.dumps({"query": "state:failed", "by": "ana", "at": now}))
    redis.hset(keys.rq_job("foreign"), mapping={"origin": "theirs", "status": "queued", "description": "f()"})
    redis.rpush(keys.rq_queue("theirs"), "foreign")
    redis.sadd(keys.RQ_QUEUES, keys.rq_queue("theirs"))
    redis.rpush(keys.bulk(bad), good)
    history.roll_up(ledger)
    return Names(bad), good


Read = Callable[[Ledger, Names], object]


def _feed(ledger: Ledger, names: Names) -> list[object]:
    feed = Feed(Reader(ledger), tick_s=0, background=False)
    seen = [feed.look(), feed.look()]
    mirror = seen[-1]
    rows = mirror.page(parse("")).rows
    return [mirror.figures, mirror.workers, mirror.paused, mirror.usual, rows, mirror.groups(), mirror.concerns(NOW)]


def _reader(ledger: Ledger, names: Names) -> list[object]:
    reader = Reader(ledger)
    news, walk = reader.start(Cursor(), 1)
    found: list[object] = [
        news,
        reader.tick(Cursor(), set(), None, beat=True),
        reader.tick(Cursor(1, 1), set(), 1, beat=False),
    ]
    found += [packed.unpack(row) for row in news.rows]
    for begin in (walk, Walk("changes", 1e18), Walk("jobs", 4e9)):
        if begin is not None:
            found += [packed.unpack(row) for row in reader.portion(begin, 10).rows]
    return found


def _finding(check: repairs.Check) -> Read:
    return lambda ledger, names: check.find(ledger)


READERS: dict[str, Read] = {
    "job": lambda ledger, names: monitor.job(ledger, names.job),
    "documents": lambda ledger, names: monitor.documents(ledger, names.job),
    "events": lambda ledger, names: monitor.events(ledger, names.job),
    "stages": lambda ledger, names: monitor.stages(ledger, names.job),
    "receipt": lambda ledger, names: monitor.receipt(ledger, names.job),
    "published attempt": lambda ledger, names: monitor.published_attempt(ledger, names.job),
    "gates": lambda ledger, names: monitor.gates(ledger, "contracts"),
    "rates": lambda ledger, names: monitor.rates(ledger),
    "page": lambda ledger, names: monitor.page(ledger),
    "page of some": lambda ledger, names: monitor.page(ledger, text="paper"),
    "figures": lambda ledger, names: monitor.figures(ledger),
    "changes": _reader,
    "feed": _feed,
    "workers": lambda ledger, names: (rows := fleet.workers(ledger), fleet.job_titles(ledger, rows)),
    "pools": lambda ledger, names: (fleet.pools(ledger), fleet.pool_names(ledger), fleet.paused(ledger)),
    "failures": lambda ledger, names: failures.acknowledged(ledger),
    "series": lambda ledger, names: _shown(history.series(ledger, "", NOW - timedelta(days=30), NOW, 3600)),
    "series of one": lambda ledger, names: _shown(
        history.series(ledger, "contracts", NOW - timedelta(days=9999), NOW, 86_400)
    ),
    "usual": lambda ledger, names: history.usual(ledger),
    "activity": lambda ledger, names: (activity.page(ledger), activity.known(ledger)),
    "activity of some": lambda ledger, names: activity.page(ledger, activity.Wanted(text="ana")),
    "why": lambda ledger, names: waiting.why(ledger, names.job),
    "tokens": lambda ledger, names: (tokens.tokens(ledger, everybodys=True), tokens.long_expired(ledger)),
    "saved views": lambda ledger, names: saved.views(ledger),
    "presence": lambda ledger, names: presence.look(ledger, names.job, "ana"),
    "bulk": lambda ledger, names: (bulk.ids(ledger, names.job), bulk.outcome(ledger, names.job).said("cancel")),
    "delivery": lambda ledger, names: store.delivery_of(ledger, names.job, "0"),
    "oldest wait": lambda ledger, names: queues.oldest_wait_s(ledger),
    "waiting ids": lambda ledger, names: queues.waiting_ids(ledger),
    "limits": lambda ledger, names: limits.limited(ledger),
    "queues": lambda ledger, names: foreign.overview(ledger),
    "queue": lambda ledger, names: [foreign.page(ledger, "theirs", one) for one in foreign.REGISTRIES],
    "RQ job": lambda ledger, names: foreign.job(ledger, names.rq_job),
    "standing": lambda ledger, names: foreign.standing(ledger, names.rq_job),
    **{f"check of {check.name}": _finding(check) for check in repairs.checks(thorough=True)},
}


def sentence(error: IngestboardError) -> str:
    assert str(error).endswith("."), error
    return "a sentence"


def _shown(series: history.Series) -> object:
    whole = series.total()
    return series, whole.run.percentile(0.95), whole.wait.percentile(0.5), whole.encode()


def read_all(ledger: Ledger, names: Names) -> dict[str, object]:
    """What every reader shows; an error that is no sentence of ours is the test's failure."""
    shown: dict[str, object] = {}
    for what, read in READERS.items():
        try:
            shown[what] = read(ledger, names)
        except IngestboardError as error:
            tried[f"readers: {sentence(error)}"] += 1
        else:
            repr(shown[what]).encode("utf-8")  # half a surrogate pair would break the page or the file that shows it
            tried["readers: shown"] += 1
    return shown


PATTERNS = garbage.patterns()
# Where these are replaced nothing is left that could be shown.
LISTING = {"JOBS"}
OF_GOOD_JOB = ("page", "changes", "feed")


def test_every_key_has_a_case() -> None:
    names = Names("job")
    made = {name: key(names) for name, key in PATTERNS.items()}
    assert len(set(made.values())) > 40
    assert {value for name, value in vars(keys).items() if name.isupper() and isinstance(value, str)} - {
        keys.PREFIX
    } <= set(made.values())
    assert set(keys.SHAPES) <= set(made.values())


def test_every_key_that_there_is_once_has_a_shape() -> None:
    """The janitor sets aside what is of another type; it must know the type of each."""
    once = {value for name, value in vars(keys).items() if name.isupper() and isinstance(value, str)}
    assert {key for key in once if key.startswith(keys.PREFIX)} - {keys.PREFIX} == set(keys.SHAPES)
    assert len(keys.SHAPES_OF_JOB) == len(keys.of_job("job"))


@given(spoiled=st.lists(garbage.spoils(), min_size=1, max_size=3))
@QUIET
def test_readers_show_what_is_left_or_say_a_sentence(ledger: Ledger, spoiled: list[Spoil]) -> None:
    names, good = filled(ledger)
    replaced = {one.pattern for one in spoiled if not one.apply(ledger.redis, PATTERNS[one.pattern](names))}
    shown = read_all(ledger, names)
    tried["ledgers spoiled"] += 1
    if not replaced & LISTING:
        for what in OF_GOOD_JOB:
            assert good in repr(shown.get(what)), f"{what} does not show the good job beside {spoiled}"


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
def test_no_type_under_a_key_breaks_a_reader(ledger: Ledger, pattern: str) -> None:
    """Each type once under each key, also where the draw above does not come to it."""
    for kind in garbage.TYPES if CASES > 150 else ("string", "hash"):
        names, good = filled(ledger)
        entries = (("0", b"banana", 1.0), ("state", b"{", 1e300))
        Spoil(pattern, kind, False, entries).apply(ledger.redis, PATTERNS[pattern](names))
        shown = read_all(ledger, names)
        if pattern not in LISTING:
            assert good in repr(shown["page"]), kind


@given(lines=st.lists(st.sampled_from(garbage.VALUES) | st.binary(max_size=60), max_size=5))
@QUIET
def test_a_garbled_journal_is_passed_over(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    using = settings_of.read(data=tmp_path_factory.getbasetemp() / "journal-data", redis_url="redis://unused")
    folder = journal.folder(using)
    folder.mkdir(parents=True, exist_ok=True)
    good = journal.line("job", 4e9, 7, "{}", "[]", "[]", window=1).encode()
    (folder / "4000000000-host-1-x.jsonl").write_bytes(b"\n".join([*lines, good, b""]))
    (folder / journal.SEEN).write_bytes(b"".join(lines))
    assert [entry.job for entry in journal.entries(using)][-1:] == ["job"]
    journal.seen(using)
    tried["journals spoiled"] += 1


@given(value=st.sampled_from(garbage.VALUES) | st.binary() | st.floats() | st.integers() | st.text() | st.none())
@example(value=10**400)
@example(value="\ud800")
@QUIET
def test_a_value_is_decoded_whatever_it_is(value: Any) -> None:
    records.text(value).encode("utf-8")
    assert abs(records.whole(value)) <= 2**63
    assert records.number(value) == records.number(value)
    records.moment(value)
    assert isinstance(records.fields_of(value), dict)
