"""The test of the test: the fencing, the countdown, the cancel or the reuse is broken, and the checker must say so.

A broken script is loaded in place of the right one; broken Python is a module that real work horses run in place of its
own. Each line that is replaced must be there exactly once, so that no mutation goes stale.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest

from tasks.access import PROGRAM
from tasks.errors import IngestboardError
from tasks.ledger import Ledger, connection
from tests.chaos import observing, scenes
from tests.chaos.checking import OF_THE_LEDGER, check
from tests.chaos.history import History
from tests.chaos.scenes import SCENES, Scene
from tests.chaos.watching import Witness
from tests.chaos.world import ROOT, World

FENCE = "if not owns(row, ARGV[{}]) then return {{'fenced'}} end"
EVERY = ""  # the prelude, and so all of them
# Script, the line in it, what stands there instead, and the checks that must speak up.
SCRIPTS = {
    "a report is not fenced": ("report", FENCE.format(3), "", {"zombies_write_nothing"}),
    "a settling is not fenced": ("settle", FENCE.format(3), "", {"zombies_write_nothing", "nothing_is_left_over"}),
    "a closing is not fenced": ("close", FENCE.format(2), "", {"zombies_write_nothing"}),
    "the fence compares nothing": (
        EVERY,
        "return tostring(row.attempt) == attempt and (token == '' or token == row.token)",
        "return true",
        {"zombies_write_nothing"},
    ),
    "a done shard is not counted": (
        "settle",
        "add(JOB, 'shards_done', 1)",
        "add(JOB, 'shards_done', 0)",
        {"every_accepted_job_is_final"},
    ),
    "a done shard is counted twice": (
        "settle",
        "add(JOB, 'shards_done', 1)",
        "add(JOB, 'shards_done', 2)",
        {"nothing_is_left_over"},
    ),
    "a cancel is not seen": (
        "report",
        "if redis.call('EXISTS', CANCEL) == 1 then return {'cancel'} end",
        "",
        {"a_cancel_stops_at_the_next_batch"},
    ),
    "percent falls": (
        "report",
        "if percent > (tonumber(get('percent')) or 0) then set('percent', percent) end",
        "set('percent', percent)",
        {"percent_never_falls_in_an_attempt"},
    ),
    "a state is not counted down": (
        "claim",
        "if from ~= '' then add(COUNTS, from, -1) end",
        "",
        {"counts_equal_the_rows"},
    ),
    "a job starts as canceled": (
        "claim",
        "  move('running')\n",
        "  move('canceling')\n",
        {"states_move_along_the_table"},
    ),
    "a lease is kept": (
        "close",
        "forget_all_shards()\nlocal state = 'failed'",
        "local state = 'failed'",
        {"nothing_is_left_over"},
    ),
}
# Module, the line in it, what stands there instead.
SOURCES = {
    "an artifact is not reused": (
        "tasks.ingest.documents",
        "            if known is not None:\n",
        "            if False:\n",
    ),
    "what a killed work horse had embedded is not kept": (
        "tasks.ingest.partial",
        "        if self._folder.is_dir():\n",
        "        if False:\n",
    ),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    found = World(tmp_path_factory.mktemp("scenes") / "world", hosts=0, workers=0)
    found.start()
    yield found
    found.close()


def played(world: World, *, broken: bool = False) -> list[str]:
    """All scenes on a new ledger; what the checks say. A broken one may end a scene before its time."""
    history = History()
    world.ledger.redis.flushall()
    world.ledger = Ledger(world.ledger.redis, world.settings, PROGRAM)
    witness = Witness(world.server.socket, history)
    witness.start()
    scenes.seen(history, Scene(world, history))  # the witness is there
    for scene in SCENES:
        with suppress(IngestboardError, AssertionError) if broken else nullcontext():
            scene(Scene(world, history))
    scenes.seen(history, Scene(world, history))
    witness.stop()
    observing.observe_ledger(world, history)
    return check(history.rows, OF_THE_LEDGER)


def replaced(text: str, line: str, instead: str) -> str:
    assert text.count(line) == 1, f"{line!r} is there {text.count(line)} times: give the mutation another line"
    return text.replace(line, instead)


def test_the_scenes_are_in_order_when_nothing_is_broken(world: World) -> None:
    assert played(world) == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_broken_script_is_found(world: World, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    script, line, instead, expected = SCRIPTS[name]
    right = connection.source

    def source(asked: str) -> str:
        hit = asked == script or (script == EVERY and asked not in connection.STANDALONE)
        return replaced(right(asked), line, instead) if hit else right(asked)

    monkeypatch.setattr(connection, "source", source)
    wrong = played(world, broken=True)
    assert expected <= {sentence.partition(":")[0] for sentence in wrong}, wrong


def source_of(name: str) -> dict[str, str]:
    module, line, instead = SOURCES[name]
    text = (ROOT / f"{module.replace('.', '/')}.py").read_text("utf-8")
    return {module: replaced(text, line, instead)}


def test_broken_python_is_found_by_real_work_horses(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text(json.dumps([{}, *map(source_of, SOURCES)]), "utf-8")
    command = [sys.executable, "-m", "tests.chaos.horses", str(tmp_path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    right, *found = [(tmp_path / str(at) / "wrong.txt").read_text("utf-8") for at in range(1 + len(SOURCES))]
    assert right == "", right
    for name, wrong in zip(SOURCES, found, strict=True):
        assert "nothing_is_embedded_twice" in wrong, f"{name}: {wrong}"
