"""`python -m tests.chaos.horses FOLDER`: real work horses one at a time, killed and frozen at chosen batches.

They are forked from here as a worker forks them, and run the tasks that RQ would have handed to them.
FOLDER/broken.json is a list of runs, each the modules that are broken in it, as name -> source. They go on side by
side, each in a process and a world of its own that is forked after the heavy imports; what is wrong with one, a line
each in the words of the checks, is in FOLDER/<its place in the list>/wrong.txt.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from io import BytesIO
from pathlib import Path

from rq.job import Job
from rq.serializers import JSONSerializer

from tasks import settings as settings_of
from tasks.ingest import documents, preload, run
from tasks.ledger import control, keys, monitor, queues, store
from tasks.ledger.records import text
from tasks.submitting import submit_files
from tests.chaos import observing
from tests.chaos.checking import check
from tests.chaos.history import History, of
from tests.chaos.load import RECIPE, paragraph
from tests.chaos.world import BATCH, EMBEDDER, World
from tests.waiting import wait_until

CHUNKS = 12
PACE = "SLEEP 0.02"
SLOWLY = "SLEEP 0.06"  # a batch takes longer than the pause between two reports, so that each ends in one


class Stable:
    """One world without pools, whose work horses are led by hand."""

    def __init__(self, world: World, history: History) -> None:
        self.world = world
        self.history = history
        self._serial = 0

    def submit(self, text: str, collection: str) -> str:
        """A job of one document."""
        self._serial += 1
        name = f"j{self._serial}.txt"
        document = {
            "name": name,
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "chunks": text.count("Paragraph"),
            "kind": "good",
        }
        facts = {"serial": self._serial, "collection": collection}
        self.history.note("asked", action="submit", documents=[document], **facts)
        receipt = submit_files(
            self.world.ledger,
            [(name, BytesIO(text.encode()))],
            collection=collection,
            owner="chaos",
            recipe=RECIPE,
            title=f"job {self._serial}",
        )
        self.history.note("answered", action="submit", job=receipt.job, hands=0, outcome="ok", **facts)
        return receipt.job

    def next(self) -> int:
        """Fork a work horse for the next delivery; its process id, 0 when there is none."""
        ledger = self.world.ledger
        for name in queues.names(ledger):
            rq_id = ledger.redis.lpop(keys.rq_queue(name))
            if rq_id:
                entry = Job.fetch(text(rq_id), ledger.redis, JSONSerializer)
                task = run.run_publish if entry.func_name == queues.RUN_PUBLISH else run.run_shard
                return forked(partial(task, *entry.args))
        return 0

    def work(self) -> None:
        """Until nothing is on its way."""
        while pid := self.next():
            os.waitpid(pid, 0)

    def calls(self) -> int:
        return len(self.world.seen.read_text("utf-8").split()) if self.world.seen.exists() else 0

    def lose(self, job: str) -> None:
        """What the janitor does with a shard whose lease has ended."""
        row = store.delivery_of(self.world.ledger, job, "0")
        assert row
        attempt = monitor.job(self.world.ledger, job).attempt
        delivery = store.settle(self.world.ledger, job, "0", attempt, "lost", how="it stopped reporting")
        if delivery is not None:
            queues.deliver(self.world.ledger, [delivery], "default")


def forked(body: Callable[[], object]) -> int:
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    try:
        signal.signal(signal.SIGUSR1, lambda signum, frame: run.draining.set())
        body()
    finally:
        os._exit(0)


def written(mark: str, pace: str = PACE) -> str:
    return "\n\n".join(paragraph(mark, at, pace) for at in range(CHUNKS))


def killed_in_the_middle(stable: Stable) -> None:
    """What was embedded before a kill is not embedded again."""
    before = stable.calls()
    job = stable.submit(written("killed"), "killed")
    horse = stable.next()
    wait_until(lambda: stable.calls() >= before + CHUNKS // 2, what="half of it")
    os.kill(horse, signal.SIGKILL)
    os.waitpid(horse, 0)
    stable.history.note("fault", kind="kill horse", who="here", struck=1, for_s=0)
    stable.lose(job)
    stable.work()


def the_same_twice(stable: Stable) -> None:
    """Equal content in another collection takes the vectors that are there."""
    body = written("same")
    stable.submit(body, "first")
    stable.work()
    stable.submit(body, "second")
    stable.work()


def frozen_and_given_up(stable: Stable) -> None:
    """A work horse that wakes after its shard was given away stops at its next checkpoint, and another goes on."""
    before = stable.calls()
    job = stable.submit(written("frozen"), "frozen")
    horse = stable.next()
    wait_until(lambda: stable.calls() >= before + CHUNKS // 2, what="half of it")
    os.kill(horse, signal.SIGSTOP)
    stable.history.note("fault", kind="freeze horse", who="here", struck=2, for_s=0)
    stable.lose(job)
    os.kill(horse, signal.SIGCONT)
    os.waitpid(horse, 0)
    stable.work()


def canceled_in_the_middle(stable: Stable) -> None:
    """A cancel is seen at the next batch; a retry goes on where it stopped."""
    before = stable.calls()
    job = stable.submit(written("canceled", SLOWLY), "canceled")
    horse = stable.next()
    wait_until(lambda: stable.calls() >= before + CHUNKS // 3, what="a third of it")
    control.cancel(stable.world.ledger, job, by="chaos")
    asked = stable.calls()
    os.waitpid(horse, 0)
    stable.history.note("stopped", job=job, batches=(stable.calls() - asked) // BATCH)
    control.retry(stable.world.ledger, job, by="chaos")
    stable.work()


SCENES = (killed_in_the_middle, the_same_twice, frozen_and_given_up, canceled_in_the_middle)


def broken(module: str, source: str) -> None:
    """Have a module run another source than its own; the ingestion loop, which imports from it, takes that."""
    sources = {module: source}
    sources.setdefault(documents.__name__, Path(documents.__file__).read_text("utf-8"))
    for name, lines in sources.items():
        found = import_module(name)
        exec(compile(lines, str(found.__file__), "exec"), vars(found))  # noqa: S102 what is to be tested


def judged(folder: Path, sources: Mapping[str, str]) -> None:
    """One run, in this process, and what is wrong with it."""
    folder.mkdir()
    try:
        for module, source in sources.items():
            broken(module, source)
        wrong = "\n".join(ran(folder))
    except BaseException:  # noqa: BLE001 the outermost of its process, which only its words leave
        wrong = traceback.format_exc()
    (folder / "wrong.txt").write_text(wrong, "utf-8")


def ran(folder: Path) -> list[str]:
    history = History(folder / "history.jsonl")
    world = World(folder / "world", hosts=0, workers=0)
    try:
        os.environ.update(world.environment(f"unix://{world.server.socket}"))
        world.start()
        stable = Stable(world, history)
        for scene in SCENES:
            scene(stable)
        observing.observe_ledger(world, history)
        # No witness watches, since it is a thread and we fork; how each job ended is enough here.
        for row in list(of(history.rows, "found")):
            history.note("seen", **{name: row[name] for name in ("job", "state", "attempt", "percent")})
        observing.observe_disk(world, history)
        return check(history.rows)
    finally:
        history.close()
        world.close()


def main(folder: Path) -> None:
    runs = json.loads((folder / "broken.json").read_text("utf-8"))
    preload()
    run.warm(settings_of.read(data=folder, embedder=EMBEDDER))
    # lancedb is imported and not used here, which is the case that its warning at each fork does not mean.
    warnings.filterwarnings("ignore", message="lancedb fork support", category=RuntimeWarning)
    for pid in [forked(partial(judged, folder / str(at), sources)) for at, sources in enumerate(runs)]:
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
