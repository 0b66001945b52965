"""The checks of what the ledger did: each gives the sentences of what is wrong with a history, none when all is well.

Pure. What each holds against what stands at its head.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from tasks.ledger.states import FINAL, TRANSITIONS, State
from tests.chaos.history import Row, of

PUBLISHED = {State.COMPLETED.value, State.PARTIAL.value}


def every_accepted_job_is_final(rows: Sequence[Row]) -> Iterator[str]:
    """A submit that was answered with a job: it is there and final, or a person's delete took it away.

    So is every other job that is there: one whose submit got no answer may exist, but then it ends too.
    """
    found = {row["job"]: row for row in of(rows, "found")}
    gone = {row["job"] for row in of(rows, "gone")}
    deletes = {row["job"] for row in of(rows, "asked") if row["action"] == "delete"}
    for row in of(rows, "answered"):
        accepted = row["action"] == "submit" and row["outcome"] == "ok"
        if accepted and row["job"] not in found and row["job"] not in gone & deletes:
            yield f"job {row['job']} was accepted and is not there any more, and nobody deleted it"
    for job, row in found.items():
        if State(row["state"]) not in FINAL:
            yield f"job {job} is {row['state']} for good"
    once = Counter(row["title"] for row in found.values())
    yield from (f"{title} was submitted once and is there {times} times" for title, times in once.items() if times > 1)


def states_move_along_the_table(rows: Sequence[Row]) -> Iterator[str]:
    """Each write of a state follows an edge of states.TRANSITIONS from the state before it.

    Every single write is held against the table, for the witness misses none while it has a line. Across a gap
    (a 'seen' row) the new state must be one that the old one leads to: without leaving a final state if the attempt
    is the same, and never an older attempt.
    """
    state: dict[str, State] = {}
    attempt: dict[str, int] = {}
    for row in rows:
        job = row.get("job", "")
        if row["what"] == "gone":
            state.pop(job, None)
        elif row["what"] == "seen":
            now, number = State(row["state"]), row["attempt"]
            if job in state:
                if number < attempt.get(job, 0):
                    yield f"job {job} went from attempt {attempt[job]} back to {number}"
                elif now not in reachable(state[job], again=number > attempt.get(job, number)):
                    yield f"job {job} was {state[job].value} and is {now.value} after a gap, in attempt {number}"
            state[job], attempt[job] = now, number
        elif row["what"] == "moved":
            if "attempt" in row:
                attempt[job] = attempt.get(job, 0) + 1 if row["attempt"] == "next" else int(row["attempt"])
            if "state" in row:
                now = State(row["state"])
                if job not in state and now is not State.QUEUED:
                    yield f"job {job} began as {now.value}"
                elif job in state and now is not state[job] and now not in TRANSITIONS[state[job]]:
                    yield f"job {job} went from {state[job].value} to {now.value}"
                state[job] = now


def reachable(state: State, *, again: bool) -> set[State]:
    """The states that one leads to, itself included; beyond a final state only in another attempt."""
    seen, todo = {state}, [state]
    while todo:
        one = todo.pop()
        if one in FINAL and not again:
            continue
        for following in TRANSITIONS[one] - seen:
            seen.add(following)
            todo.append(following)
    return seen


def percent_never_falls_in_an_attempt(rows: Sequence[Row]) -> Iterator[str]:
    """Each write of a percent is at least the one before it in the same attempt, and no more than 100."""
    percent: dict[str, float] = defaultdict(float)
    attempt: dict[str, int] = {}
    for row in rows:
        job = row.get("job", "")
        if row["what"] == "gone":
            percent.pop(job, None)
        if row["what"] not in ("moved", "seen"):
            continue
        before = attempt.get(job)
        if "attempt" in row:
            attempt[job] = (before or 0) + 1 if row["attempt"] == "next" else int(row["attempt"])
        if attempt.get(job) != before:
            percent[job] = 0.0
        if "percent" in row:
            now = float(row["percent"])
            if not percent[job] <= now <= 100:
                yield f"the percent of job {job} went from {percent[job]:g} to {now:g} in one attempt"
            percent[job] = now


def nothing_is_left_over(rows: Sequence[Row]) -> Iterator[str]:
    """No lease, delivery, waiting or live entry; no shard counted as running; no staging; no process; pools end well.

    A pool that starts while Redis cannot be reached says so and ends; whoever supervises it starts it again.
    """
    for row in of(rows, "left"):
        yield f"{row['where']} still holds {', '.join(row['members'][:5])}"
    for row in of(rows, "found"):
        if row["running_shards"] != 0 or row["shards"].get("running"):
            yield f"job {row['job']} is {row['state']} and {row['running_shards']} of its shards count as running"
        if row["state"] in PUBLISHED and row["shards_done"] != row["shards_total"]:
            yield f"job {row['job']} is {row['state']} with {row['shards_done']} of {row['shards_total']} shards done"
        if row["shards_done"] > row["shards_total"]:
            yield f"job {row['job']} counted {row['shards_done']} of its {row['shards_total']} shards as done"
    for row in of(rows, "staged"):
        yield from (f"collection {row['collection']} holds {name}, left by a publish" for name in row["names"])
    for row in of(rows, "processes"):
        yield from (f"process {one['pid']} ({one['title']}) outlived its pool" for one in row["left"])
    for row in of(rows, "ended"):
        if row["code"] != 0:
            yield f"the pool of {row['who']} ended with {row['code']} when it was told to stop"
    away = any(row["kind"].endswith(("redis", "line")) for row in of(rows, "fault"))
    for row in of(rows, "fell"):
        if not (away and row["code"] == 1):
            yield f"the pool of {row['who']} ended by itself with {row['code']}"


def counts_equal_the_rows(rows: Sequence[Row]) -> Iterator[str]:
    """The counts by state, the indexes of jobs, and each job's figures of documents equal what the rows say."""
    found = list(of(rows, "found"))
    for sums in of(rows, "sums"):
        counted = Counter(row["state"] for row in found)
        for state in State:
            if sums["counts"].get(state.value, 0) != counted[state.value]:
                yield f"{sums['counts'].get(state.value, 0)} jobs count as {state.value} and {counted[state.value]} are"
        if set(sums["jobs"]) != {row["job"] for row in found}:
            yield "the index of jobs does not name the jobs that are there"
        if set(sums["final"]) != {row["job"] for row in found if State(row["state"]) in FINAL}:
            yield "the index of final jobs does not name those that are final"
    for row in found:
        for name, ending in (("documents_done", "completed"), ("documents_failed", "failed")):
            there = sum(document["state"] == ending for document in row["documents"])
            if row[name] != there:
                yield f"job {row['job']} counts {row[name]} documents as {ending} and {there} are"


def zombies_write_nothing(rows: Sequence[Row]) -> Iterator[str]:
    """A worker that wakes after its shard was given to another is told so, and changes nothing in Redis."""
    for row in of(rows, "zombie"):
        if not row["fenced"] or row["changed"]:
            changed = ", ".join(row["changed"]) or "nothing"
            yield f"a zombie of job {row['job']} that wanted to {row['does']} was not fenced off; it changed {changed}"
