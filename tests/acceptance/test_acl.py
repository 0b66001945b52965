"""The product under the rights of docs/redis-acl.md, on a real server: all of it works, and nothing else is granted."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import redis
from pydantic import SecretStr
from rq import Queue
from rq.serializers import JSONSerializer

from dashboard.feed import Feed
from tasks import bulk
from tasks.access import PROGRAM, Person, Role
from tasks.errors import RedisUnreachable
from tasks.ledger import (
    Ledger,
    State,
    activity,
    connect,
    connection,
    control,
    failures,
    fleet,
    foreign,
    history,
    keys,
    monitor,
    presence,
    saved,
    tokens,
    waiting,
)
from tasks.ledger.changes import Reader
from tasks.ledger.records import Gates
from tasks.ledger.states import Action
from tasks.submitting import submit_files
from tests.acceptance.conftest import Stack, lines
from tests.acceptance.redis_servers import Server
from tests.acceptance.secured import acl_lines
from tests.rq_functions import note
from tests.waiting import wait_until

pytestmark = pytest.mark.acceptance

PASSWORD = "hunter2"
WEB, WORKER, READER = "ingestboard-web", "ingestboard-worker", "ingestboard-reader"
NOTE = f"{note.__module__}.{note.__name__}"


class Guarded(Stack):
    """A pool that works as the worker user; its ledger is the web user's."""

    server: Server
    admin: Any  # redis.Redis, whose execute_command has no types

    def as_user(self, name: str) -> Any:
        return connection.client(address(self.server, name))

    def denied(self) -> list[str]:
        """What was refused to anybody so far, in words."""
        rows: Any = self.admin.acl_log()
        # RQ asks for the list of clients, and newer servers are told the version of ours; both do without an answer.
        asked = [row for row in rows if row["object"] not in ("client|list", "client|setinfo")]
        return [f"{row['username']}: {row['reason']} {row['object']} ({row['context']})" for row in asked]


def address(server: Server, name: str) -> str:
    return f"redis://{name}:{PASSWORD}@127.0.0.1:{server.port}/0"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    data = tmp_path_factory.mktemp("acl")
    server = Server(data / "redis", "--requirepass", "admin")
    admin: Any = redis.Redis(port=server.port, password="admin")
    if int(str(admin.info("server")["redis_version"]).split(".")[0]) < 7:
        server.end()
        pytest.skip("the documented rights need Redis 7")
    for line in acl_lines(password=PASSWORD):
        admin.execute_command(*line)
    found = Guarded(data, address(server, WORKER), rq_functions=NOTE)
    found.server, found.admin = server, admin
    found.ledger.close()
    found.ledger = Ledger(found.as_user(WEB), found.settings, PROGRAM)
    admin.acl_log_reset()
    pool = found.start_pool()
    yield found
    pool.terminate()
    try:
        pool.wait(30)
    except subprocess.TimeoutExpired:
        pool.kill()
    found.ledger.close()
    admin.close()
    server.end()


def read_everything(ledger: Ledger, job_id: str) -> None:
    """What the pages read."""
    now = datetime.now(UTC)
    feed = Feed(Reader(ledger), tick_s=0, background=False)
    feed.look()
    assert job_id in {row.id for row in feed.look().page(_everything()).rows}
    for read in (monitor.job, monitor.documents, monitor.events, monitor.stages, monitor.receipt, waiting.why):
        read(ledger, job_id)
    monitor.page(ledger, text="d0")
    monitor.rates(ledger), monitor.gates(ledger, "c"), monitor.figures(ledger)
    fleet.job_titles(ledger, fleet.workers(ledger)), fleet.pools(ledger), fleet.paused(ledger)
    failures.acknowledged(ledger), saved.views(ledger), activity.known(ledger), history.usual(ledger)
    history.series(ledger, "", now - timedelta(days=2), now, 3600)
    bulk.outcome(ledger, job_id)
    foreign.overview(ledger)
    for registry in foreign.REGISTRIES:
        foreign.page(ledger, "default", registry)


def _everything() -> Any:
    from dashboard.memory.query import parse

    return parse("")


def test_everything_works_with_these_rights_and_nothing_is_missing(stack: Guarded, tmp_path: Path) -> None:
    ledger = stack.ledger
    done = stack.ended(stack.submit("One text.", "Another one.", names=("d0.txt", "d1.txt")))
    assert done.state is State.COMPLETED, (done.error, monitor.documents(ledger, done.id), stack.denied())
    running = stack.submit(lines(60, "slow:0.05"), names=("d0.txt",))
    wait_until(lambda: stack.job(running).state is State.RUNNING, what="a job at work")
    control.cancel(ledger, running, by="ana")
    assert stack.ended(running).state is State.CANCELED
    control.retry(ledger, running, by="ana")
    control.reprioritise(ledger, running, "high", by="ana")
    assert stack.ended(running).state is State.COMPLETED
    control.pause(ledger, "low", by="ana", why="a test")
    held = stack.submit("Held.", priority="low")
    read_everything(ledger, held)
    control.cancel(ledger, held, by="ana")
    control.resume(ledger, "low", by="ana")
    worker = monitor.worker_names(ledger)[0]
    control.drain(ledger, worker, by="ana")
    control.undrain(ledger, worker, by="ana")
    control.set_gates(ledger, "c", Gates(50, 1), by="ana")
    saved.save(ledger, "mine", query="state:failed", by="ana")
    saved.forget(ledger, "mine", by="ana")
    presence.look(ledger, held, "ana")
    failures.acknowledge(ledger, "0" * 16, "known", by="ana")
    failures.withdraw(ledger, "0" * 16, by="ana")
    assert stack.ended(bulk.request(ledger, Action.DELETE, [held], by="ana").job).state is State.COMPLETED
    # A person, who is counted, and their token.
    ana = ledger.held_by(Person("ana", Role.OPERATOR))
    spelled, made = tokens.make(ana, "ci", role=Role.VIEWER, days=1)
    assert tokens.person_of(ledger, spelled, None).role is Role.VIEWER
    tokens.revoke(ana, made.id)
    submitted = submit_files(ana, [("a.txt", BytesIO(b"A text."))], collection="c", token="once")
    assert stack.ended(submitted.job).state is State.COMPLETED
    # A function of the operator's, put into our queue by a program of his.
    path = tmp_path / "noted"
    Queue("default", connection=stack.admin, serializer=JSONSerializer).enqueue(note, str(path), "ran")
    wait_until(path.exists, what="the function")
    assert stack.denied() == []
    assert "Traceback" not in stack.log.read_text()
    assert PASSWORD not in stack.log.read_text()


def test_who_may_read_all_keys_reads_the_changes_in_one_command(stack: Guarded) -> None:
    job_id = stack.submit("Read.")
    asked = Reader(stack.ledger)
    Feed(asked, tick_s=0, background=False).look()
    for line in acl_lines("acl-optional-read-all"):
        stack.admin.execute_command(*line)
    try:
        feed = Feed(free := Reader(stack.ledger), tick_s=0, background=False)
        feed.look()
        feed.look()
        assert free.sorts
        assert feed.look().get(job_id) is not None
    finally:
        for line in acl_lines(password=PASSWORD):
            stack.admin.execute_command(*line)


FOREIGN_JOB = "rq:job:0b5d6f8e-6d0f-4a35-9a6e-9f3f1c1f2a11"


@pytest.mark.parametrize("user", [WEB, WORKER, READER])
@pytest.mark.parametrize(
    "command",
    [
        ("FLUSHALL",),
        ("FLUSHDB",),
        ("CONFIG", "GET", "*"),
        ("KEYS", "*"),
        ("SCAN", "0"),
        ("EVAL", "return 1", "0"),
        ("ACL", "WHOAMI"),
        ("BGSAVE",),
        ("CLIENT", "LIST"),
        ("SHUTDOWN", "NOSAVE"),
        ("GET", "theirs"),
        ("SET", "theirs", "1"),
        ("LRANGE", "rq:queue:theirs", "0", "1"),
        ("LPUSH", "rq:queue:theirs", "x"),
    ],
    ids=" ".join,
)
def test_what_is_not_granted_is_refused(stack: Guarded, user: str, command: tuple[str, ...]) -> None:
    client = stack.as_user(user)
    with pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command(*command)
    client.close()
    stack.admin.acl_log_reset()


@pytest.mark.parametrize(
    ("user", "command"),
    [
        (WEB, ("HGETALL", FOREIGN_JOB)),
        (WEB, ("DEL", FOREIGN_JOB)),
        (WEB, ("HSET", "rq:worker:w", "a", "1")),
        (WEB, ("PUBLISH", "rq:pubsub:w", "{}")),
        (READER, ("HSET", "ib:job:x", "state", "completed")),
        (READER, ("SCRIPT", "LOAD", "return 1")),
        (READER, ("EVALSHA", "0" * 40, "0")),
    ],
    ids=str,
)
def test_a_user_reaches_only_what_is_its_business(stack: Guarded, user: str, command: tuple[str, ...]) -> None:
    client = stack.as_user(user)
    with pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command(*command)
    client.close()
    stack.admin.acl_log_reset()


def test_a_script_is_held_to_the_keys_of_its_user(stack: Guarded) -> None:
    """EVALSHA and SCRIPT LOAD are granted, so what a script may touch must not be more."""
    stack.admin.set("theirs", "secret")
    client = stack.as_user(WEB)
    sha = client.script_load("return redis.call('GET', 'theirs')")
    with pytest.raises(redis.ResponseError, match=r"permission|NOPERM|can't"):
        client.evalsha(sha, 0)
    client.close()
    stack.admin.acl_log_reset()


def test_the_queues_of_others_are_shown_with_the_optional_lines_alone(stack: Guarded) -> None:
    Queue("theirs", connection=stack.admin).enqueue("os.getcwd")
    seen = {row.name: row.depth for row in foreign.overview(stack.ledger).rows}
    assert seen["theirs"] == 0
    assert foreign.page(stack.ledger, "theirs", "queued").total == 0
    for line in acl_lines("acl-optional-foreign"):
        stack.admin.execute_command(*line)
    try:
        assert {row.name: row.depth for row in foreign.overview(stack.ledger).rows}["theirs"] == 1
        (row,) = foreign.page(stack.ledger, "theirs", "queued").rows
        control.delete_foreign(stack.ledger, "theirs", row.id, by="ana")
        assert foreign.page(stack.ledger, "theirs", "queued").total == 0
    finally:
        stack.admin.delete(keys.rq_queue("theirs"))
        for line in acl_lines(password=PASSWORD):
            stack.admin.execute_command(*line)
        stack.admin.acl_log_reset()


def test_the_reading_user_sees_jobs(stack: Guarded) -> None:
    job_id = stack.submit("Seen.")
    ledger = Ledger(stack.as_user(READER), stack.settings, PROGRAM)
    feed = Feed(Reader(ledger), tick_s=0, background=False)
    feed.look()
    assert feed.look().get(job_id) is not None
    assert monitor.job(ledger, job_id).collection == "c"
    fleet.workers(ledger)
    ledger.close()


def test_a_wrong_password_is_a_sentence_without_it(stack: Guarded) -> None:
    url = address(stack.server, WEB).replace(PASSWORD, "wrong-secret")
    with pytest.raises(RedisUnreachable, match="refuses the user or the password") as refused:
        connect(stack.settings.model_copy(update={"redis_url": SecretStr(url)}))
    assert "wrong-secret" not in str(refused.value)
    stack.admin.acl_log_reset()


def test_documents_go_in_through_the_door_of_the_pages(stack: Guarded) -> None:
    receipt = submit_files(stack.ledger, [("a.txt", BytesIO(b"words"))], collection="c", owner="ana")
    assert stack.ended(receipt.job).final
