"""`python -m tests.chaos --seed 7 --seconds 120`: real programs, a load, faults; then the verdict of the checker."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.chaos import observing, schedule
from tests.chaos.checking import check
from tests.chaos.faults import Faults
from tests.chaos.history import History, of, read
from tests.chaos.load import Load
from tests.chaos.watching import Witness
from tests.chaos.world import World

QUIET_S = 120.0
DISK_MB = 48


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="what happens when is drawn from it")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long faults strike")
    parser.add_argument("--every", type=float, default=1.5, help="seconds between two faults, on average")
    parser.add_argument("--hosts", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2, help="workers of each host")
    parser.add_argument("--fsync", choices=("always", "everysec"), default="always", help="of Redis' log")
    parser.add_argument("--only", action="append", choices=schedule.KINDS, help="draw faults of this kind alone")
    parser.add_argument("--keep", type=Path, help="a new folder that keeps history, logs and data")
    parser.add_argument("--judge", type=Path, help="run nothing; check a history that was kept")
    return parser.parse_args()


def run(given: argparse.Namespace, folder: Path) -> History:
    """One run below a folder; its history."""
    kinds = given.only or schedule.KINDS
    faults = schedule.draw(given.seed, given.seconds, hosts=given.hosts, every_s=given.every, kinds=kinds)
    disk_mb = DISK_MB if "fill disk" in kinds else 0
    world = World(folder, hosts=given.hosts, workers=given.workers, fsync=given.fsync, disk_mb=disk_mb)
    history = History(folder / "history.jsonl")
    try:
        world.start()
        witness = Witness(world.server.socket, history)
        witness.start()
        load = Load(world, history, given.seed)
        load.start()
        Faults(world, history).run(faults)
        load.stop()
        observing.wait_for_quiet(world, history, QUIET_S)
        for host in world.hosts:
            history.note("ended", who=host.name, code=host.stop())
        witness.stop()
        observing.observe_processes(world, history)
        observing.observe_ledger(world, history)
        observing.observe_disk(world, history)
        return history
    finally:
        history.close()
        world.close()


def figures(history: History) -> list[str]:
    """What a run did, in lines."""
    answers = Counter((row["action"], row["outcome"]) for row in of(history.rows, "answered"))
    struck = Counter(row["kind"] for row in of(history.rows, "fault") if "skipped" not in row)
    left_out = Counter(row["kind"] for row in of(history.rows, "fault") if "skipped" in row)
    ends = Counter(row["state"] for row in of(history.rows, "found"))
    embedded = next(of(history.rows, "embedded"), {})
    quiet = next(of(history.rows, "quiet"), None)
    return [
        "asked: " + ", ".join(f"{count} {action} {outcome}" for (action, outcome), count in sorted(answers.items())),
        "faults: " + (", ".join(f"{count} {kind}" for kind, count in sorted(struck.items())) or "none"),
        "left out: " + (", ".join(f"{count} {kind}" for kind, count in sorted(left_out.items())) or "none"),
        "jobs at the end: " + ", ".join(f"{count} {state}" for state, count in sorted(ends.items())),
        f"writes of state or percent seen: {sum(1 for _ in of(history.rows, 'moved'))}, "
        f"gaps: {sum(1 for _ in of(history.rows, 'watching')) - 1}",
        f"zombies that were fenced off: {sum(1 for _ in of(history.rows, 'zombie'))}",
        f"chunks embedded: {embedded.get('chunks', 0)}, of them again: {embedded.get('again', 0)}",
        f"snapshots: {sum(1 for _ in of(history.rows, 'snapshot'))}",
        f"quiet after: {quiet['after_s']} s" if quiet else "never quiet",
    ]


def main() -> int:
    given = arguments()
    if given.judge:
        wrong = check(read(given.judge))
        print("\n".join(wrong) or "Nothing is wrong with it.")
        return 1 if wrong else 0
    print(f"seed {given.seed}, {given.seconds:g} s, {given.hosts} hosts with {given.workers} workers", flush=True)
    folder = given.keep or Path(tempfile.mkdtemp(prefix="ib-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    history = run(given, folder)
    wrong = check(history.rows)
    print("\n".join(figures(history)))
    print("\n".join(f"WRONG: {sentence}" for sentence in wrong) or "VERDICT: everything held.")
    if wrong and not given.keep:
        print(f"kept: {folder}")
    elif not given.keep:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
