"""`make demo`: a scratch board with a job in every state, shown until Ctrl-C.

What has ended was really run, by a real pool that is stopped again; what is under way is held by stand-ins in
this process that report like workers, so that the board moves and each state stays to be looked at.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from io import BytesIO

from tasks import embedded
from tasks import settings as settings_of
from tasks.access import PROGRAM
from tasks.child import Child, python_module
from tasks.errors import Canceled, Fenced, IngestboardError, PortUnusable
from tasks.ledger import Ledger, State, connect, control, keys, monitor, store
from tasks.ledger.states import DocumentState
from tasks.running import UpLock
from tasks.settings import Settings
from tasks.submitting import submit_files
from tasks.supervisor import address, answers, check_address
from tasks.wake import Wake

MARK = ".scratch"
TICK_S = 0.25
ROUND_S = 40.0  # a stand-in takes this long for its job, then stays just below its end


class DemoStuck(IngestboardError):
    """The demo cannot go on. Data: what."""

    sentence = "The demo stopped: {what}; look at the logs in its folder, remove that and try again."


PEOPLE = ("ana", "bo", "chidi", "dewi")
SUBJECTS = ("notice period", "delivery date", "liability", "payment terms", "data protection", "termination")


def paper(collection: str, number: int, paragraphs: int = 12) -> tuple[str, BytesIO]:
    """A small Markdown document about a few subjects."""
    lines = [f"# {collection.title()} {number}"]
    for at in range(paragraphs):
        subject = SUBJECTS[(number + at) % len(SUBJECTS)]
        lines.append(
            f"## {subject.title()}\n\nParagraph {at + 1} of {collection} {number} is about the {subject}. It was "
            f"agreed on day {at + number} and holds for {at + 2} months, unless a side objects in writing before."
        )
    return f"{collection}-{number:03}.md", BytesIO("\n\n".join(lines).encode())


def history(ledger: Ledger) -> None:
    """Jobs that ended, each in its way, by real workers."""
    good = [("contracts", 24), ("invoices", 40), ("policies", 9), ("contracts", 30)]
    for at, (collection, count) in enumerate(good):
        _ended(ledger, _submit(ledger, [paper(collection, number) for number in range(count)], collection, at))
    broken = [("scan-17.pdf", BytesIO(b"%PDF-1.7 and then nothing")), ("empty.txt", BytesIO(b""))]
    _ended(ledger, _submit(ledger, [paper("invoices", 90), *broken], "invoices", 1))
    _ended(ledger, _submit(ledger, [("minutes.docx", BytesIO(b"PK\x03\x04 no more"))], "minutes", 2))
    stopped = _submit(ledger, [paper("archive", number, 600) for number in range(60)], "archive", 3)
    _until(lambda: monitor.job(ledger, stopped).documents_done > 3)
    control.cancel(ledger, stopped, by="bo")
    _ended(ledger, stopped)


def present(ledger: Ledger) -> list[store.Reporter]:
    """Jobs that are under way and stay so; the stand-ins that report for the running ones."""
    running = [
        _held(ledger, _submit(ledger, [paper(name, number) for number in range(count)], name, at))
        for at, (name, count) in enumerate([("handbook", 14), ("contracts", 60), ("invoices", 220)])
    ]
    lost = _held(ledger, _submit(ledger, [paper("archive", 7)], "archive", 3))
    store.settle(ledger, lost.claim.job, lost.claim.shard, lost.claim.attempt, "lost", how="its host went away")
    stopping = _held(ledger, _submit(ledger, [paper("policies", 11)], "policies", 0))
    control.cancel(ledger, stopping.claim.job, by="chidi")
    for at, collection in enumerate(("minutes", "archive", "handbook")):
        _submit(ledger, [paper(collection, number) for number in range(5 * (at + 1))], collection, at, "low")
    return running


def move(ledger: Ledger, reporters: list[store.Reporter], began: float) -> None:
    """One tick of the stand-ins: they report a little more each time, and stop when a person cancels."""
    now = time.time()
    ledger.redis.zadd(keys.WORKERS, {reporter.claim.worker: now for reporter in reporters} or {"stand-in": now})
    for at, reporter in enumerate(list(reporters)):
        documents = reporter.claim.documents
        share = min(0.98, (time.monotonic() - began) / (ROUND_S * (1 + 0.7 * at)))
        done = int(share * len(documents))
        name = documents[min(done, len(documents) - 1)].name
        try:
            reporter.stage("embed", f"Embedding {name}")
            for document in documents[reporter.finished : done]:
                reporter.document(document.number, DocumentState.COMPLETED, chunks=9, seconds=0.4)
            reporter.progress(share * len(documents) - done)
            reporter.check()
        except (Canceled, Fenced) as stop:
            reporters.remove(reporter)
            if isinstance(stop, Canceled):
                claim = reporter.claim
                store.settle(ledger, claim.job, claim.shard, claim.attempt, "canceled", how="at a checkpoint")


def _submit(
    ledger: Ledger, files: list[tuple[str, BytesIO]], collection: str, person: int, priority: str = "default"
) -> str:
    owner = PEOPLE[person % len(PEOPLE)]
    return submit_files(ledger, files, collection=collection, owner=owner, priority=priority).job


def _held(ledger: Ledger, job_id: str) -> store.Reporter:
    rq_id = store.delivery_of(ledger, job_id, "0")
    claim = store.claim(ledger, job_id, "0", rq_id, f"stand-in-{job_id[:4]}")
    if claim is None:
        raise DemoStuck(what=f"job {job_id} was taken by another worker")
    return store.Reporter(ledger, claim)


def _ended(ledger: Ledger, job_id: str) -> State:
    _until(lambda: monitor.job(ledger, job_id).final)
    return monitor.job(ledger, job_id).state


def _until(condition: Callable[[], object], timeout_s: float = 120.0) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > until:
            raise DemoStuck(what="its workers did not do their part in time")
        time.sleep(0.05)


def clean(settings: Settings) -> None:
    """Empty the scratch folder; one that we did not make is left alone."""
    if settings.data.exists() and any(settings.data.iterdir()):
        if not (settings.data / MARK).exists():
            raise DemoStuck(what=f"{settings.data} holds something that the demo did not make")
        shutil.rmtree(settings.data)
    settings.data.mkdir(parents=True, exist_ok=True)
    (settings.data / MARK).touch()


def run(settings: Settings) -> None:
    """Fill the board, show it, stop all of it."""
    asked: list[int] = []
    embedded.prepare(settings)
    with ExitStack() as held:
        held.enter_context(UpLock(settings.data, address(settings)))
        held.callback(embedded.clear, settings)
        wake = held.enter_context(Wake(lambda: asked.append(1)))
        check_address(settings.host, settings.port)
        logs = settings.data / "logs"
        server = embedded.spawn(settings, embedded.find_server())
        held.callback(_stop, server)
        embedded.wait_until_ready(settings, server)
        board = Child("dashboard", python_module("dashboard"), logs / "dashboard.log", stop_s=5.0)
        board.start()
        held.callback(_stop, board)
        pool = Child("pool", python_module("workers", "-n", "2"), logs / "workers.log", stop_s=20.0)
        pool.start()
        held.callback(_stop, pool)
        ledger = connect(settings, PROGRAM)
        print("Filling a scratch board; this takes some seconds ...", flush=True)
        history(ledger)
        _stop(pool)
        reporters = present(ledger)
        began = time.monotonic()
        _until(lambda: answers(settings) or not board.alive)
        if not board.alive:
            raise PortUnusable(host=settings.host, port=settings.port, reason=board.last_line() or board.ending)
        print(f"The scratch board is at {address(settings)}; Ctrl-C stops it.", flush=True)
        while not asked:
            move(ledger, reporters, began)
            wake.wait(TICK_S)


def _stop(child: Child) -> None:
    child.ask_to_stop()
    until = time.monotonic() + child.stop_s
    while child.alive and time.monotonic() < until:
        time.sleep(0.05)
    child.kill()


def main() -> int:
    """The program; its exit code."""
    try:
        settings = settings_of.current()
        if not settings.embedded:
            print("The demo brings its own Redis; start it without REDIS_URL.", file=sys.stderr)
            return 1
        clean(settings)
        run(settings)
    except IngestboardError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
