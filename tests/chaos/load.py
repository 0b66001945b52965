"""The persons of a run: they submit, cancel, force, retry, delete, re-prioritise and write workers off, by their seed.

What they ask is noted before the call and what they are answered after it.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable
from io import BytesIO
from typing import Any

import redis

from tasks.errors import IngestboardError
from tasks.ledger import control
from tasks.recipe import Recipe
from tasks.submitting import submit_files
from tests.chaos.history import History, Row
from tests.chaos.world import World

RECIPE = Recipe(chunk_size=100, chunk_overlap=0)
PAUSE_S = (0.05, 0.6)
PRIORITIES = ("high", "default", "low")
ACTIONS = {"submit": 10, "cancel": 4, "force stop": 2, "retry": 4, "delete": 1, "reprioritise": 1, "write off": 1}
GOOD, SLOW, BAD = "good", "slow", "bad"


class Load:
    """One thread of asking. Every call is noted before it is made and after it was answered."""

    def __init__(self, world: World, history: History, seed: int, *, collections: int = 3) -> None:
        self._world = world
        self._history = history
        self._chance = random.Random(f"load {seed}")
        self._collections = [f"c{at}" for at in range(collections)]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._jobs: list[str] = []
        self._texts: list[str] = []
        self._number = 0
        self._broke: BaseException | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(60)
        if self._broke is not None:
            raise self._broke  # an answer that no person should ever get

    def _run(self) -> None:
        try:
            self._ask_and_ask()
        except Exception as error:  # noqa: BLE001 - raised again where the run waits for this thread
            self._broke = error

    def _ask_and_ask(self) -> None:
        while not self._stop.is_set():
            action = self._chance.choices(list(ACTIONS), list(ACTIONS.values()))[0]
            if action == "submit" or not self._jobs:
                self.submit()
            else:
                # Most is asked of what was submitted lately: that is what is queued or running.
                near = self._jobs[-6:] if self._chance.random() < 0.7 else self._jobs
                self.act(action, self._chance.choice(near))
            self._stop.wait(self._chance.uniform(*PAUSE_S))

    def submit(self) -> Row:
        """A job of one to six documents; some hold what another one holds, some are slow, some hold no text."""
        self._number += 1
        serial = self._number
        texts: dict[str, bytes] = {}
        documents = []
        for at in range(self._chance.randint(1, 6)):
            drawn = self._chance.random()
            kind = BAD if drawn < 0.04 else SLOW if drawn < 0.07 else GOOD
            if kind == GOOD and self._texts and self._chance.random() < 0.15:
                text = self._chance.choice(self._texts)
            else:
                text = written(kind, f"{serial}x{at}", self._chance)
                if kind == GOOD:
                    self._texts.append(text)
            name = f"j{serial}-d{at}.txt"
            texts[name] = text.encode()
            sha256 = hashlib.sha256(text.encode()).hexdigest()
            chunks = 0 if kind == BAD else text.count("Paragraph")
            documents.append({"name": name, "sha256": sha256, "chunks": chunks, "kind": kind})
        collection = self._chance.choice(self._collections)
        facts = {"serial": serial, "collection": collection, "documents": documents}
        priority = self._chance.choice(PRIORITIES)

        def ask() -> str:
            receipt = submit_files(
                self._world.ledger,
                [(name, BytesIO(body)) for name, body in texts.items()],
                collection=collection,
                owner="chaos",
                priority=priority,
                recipe=RECIPE,
                title=f"job {serial}",
                token=f"chaos-{serial}",
            )
            self._jobs.append(receipt.job)
            return receipt.job

        row = self._ask("submit", ask, facts)
        # A person whose page got no answer presses the button again; the form's token makes one job of both.
        return self._ask("submit", ask, facts) if row["outcome"] == "unknown" else row

    def act(self, action: str, job: str) -> Row:
        """Ask something of a job."""
        ledger, chance = self._world.ledger, self._chance
        calls: dict[str, Callable[[], Any]] = {
            "cancel": lambda: control.cancel(ledger, job, by="chaos"),
            "force stop": lambda: control.cancel(ledger, job, by="chaos", force=True),
            "retry": lambda: control.retry(ledger, job, by="chaos", failed_only=chance.random() < 0.8),
            "delete": lambda: control.delete(ledger, job, by="chaos"),
            "reprioritise": lambda: control.reprioritise(ledger, job, chance.choice(PRIORITIES), by="chaos"),
            "write off": lambda: [control.write_off(ledger, name, by="chaos") for name in holders],  # often nobody
        }
        try:
            holders = self._world.holders(job)
            hands = len(holders)
        except redis.RedisError:
            holders, hands = [], sum(host.workers for host in self._world.hosts)

        def ask() -> str:
            calls[action]()
            return job

        return self._ask(action, ask, {"job": job, "hands": hands})

    def _ask(self, action: str, call: Callable[[], str], facts: dict[str, Any]) -> Row:
        self._history.note("asked", action=action, **facts)
        given: dict[str, Any] = {"action": action, "serial": facts.get("serial"), "job": facts.get("job")}
        given["hands"] = facts.get("hands", 0)
        try:
            given |= {"job": call(), "outcome": "ok"}
        except redis.RedisError as error:
            given |= {"outcome": "unknown", "sentence": type(error).__name__}  # it may have been done or not
        except (IngestboardError, OSError) as error:
            given |= {"outcome": "refused", "sentence": f"{type(error).__name__}: {error}"}
        return self._history.note("answered", **given)


def written(kind: str, mark: str, chance: random.Random) -> str:
    """The text of a document: a paragraph a chunk, each unlike every other, each taking its time to embed."""
    if kind == BAD:
        return " " * (1 + len(mark)) + "\n" * chance.randint(1, 9)
    if kind == SLOW:
        return paragraph(mark, 0, "SLEEP 5")
    return "\n\n".join(
        paragraph(mark, at, f"SLEEP {chance.choice((0.01, 0.03, 0.1))}") for at in range(chance.randint(1, 14))
    )


def paragraph(mark: str, at: int, says: str) -> str:
    return f"Paragraph {at} of {mark} says {says} and then some more words to fill its own chunk."
