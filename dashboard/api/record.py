"""The doors to what happened: failures by cause, activity, the whole record, history, and the saved views."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import Field

from dashboard.api.door import Asked, Door, Said
from dashboard.api.jobs import Text
from dashboard.memory.query import parse
from tasks.access import Right
from tasks.ledger import activity, chain, control, failures, history, saved
from tasks.telling import plain


class Failing(Said):
    q: str = Field(default="", max_length=4_000, description="only of the jobs that this query of the board means")


class Noting(Said):
    note: str = Field(default="", max_length=failures.NOTE_LONGEST)


class Who(Said):
    by: Text = ""
    action: Text = ""
    on: Text = Field(default="", description="a job, collection or worker")
    text: Text = ""
    origin: Text = ""
    refused: bool = Field(default=False, description="only what was refused")
    hours: float | None = Field(default=None, gt=0, le=24 * 3660, description="only the last so many")
    limit: int = Field(default=100, ge=1, le=1_000)

    def wanted(self) -> activity.Wanted:
        since = datetime.now(UTC) - timedelta(hours=self.hours) if self.hours is not None else None
        return activity.Wanted(
            by=self.by,
            action=self.action,
            subject=self.on,
            text=self.text,
            since=since,
            outcome="refused" if self.refused else "",
            origin=self.origin,
        )


class Leafing(Who):
    before: str = Field(default="", pattern=r"^(\d{1,20}-\d{1,19})?$", description="'older' of the page before")


class Over(Said):
    collection: Text = Field(default="", description="all of them unless named")
    hours: float = Field(default=24, gt=0, le=24 * 730)
    step_s: int = Field(default=3600, ge=60, le=30 * 86_400)


class View(Said):
    query: str = Field(max_length=saved.LONGEST_QUERY)
    sort: str = Field(default="", max_length=60)
    replace: bool = Field(default=False, description="in place of another of that name")


def failing(asked: Asked) -> dict[str, Any]:
    groups = asked.board.groups(parse(asked.asks(Failing).q))
    return {"failures": [{**plain(group), "again": group.again} for group in groups]}


def acknowledged(asked: Asked) -> dict[str, str]:
    key = asked.path["key"]
    cause = next((group.cause for group in asked.board.groups() if group.key == key), "")
    return {"sentence": failures.acknowledge(asked.ledger, key, asked.says(Noting).note, cause=cause)}


def withdrawn(asked: Asked) -> dict[str, str]:
    return {"sentence": failures.withdraw(asked.ledger, asked.path["key"])}


def did(asked: Asked) -> dict[str, Any]:
    wanted = asked.asks(Leafing)
    found = activity.page(asked.ledger, wanted.wanted(), before=wanted.before, limit=wanted.limit)
    return {"activity": found.rows, "older": found.older}


def recorded(asked: Asked) -> dict[str, Any]:
    control.permit(asked.ledger, Right.READ_RECORD, "record")
    wanted = asked.asks(Who)
    found = chain.newest_first(asked.settings, asked.ledger, wanted.wanted(), limit=wanted.limit)
    return {"record": found.rows, "all_of_it": found.all_of_it}


def over_time(asked: Asked) -> dict[str, Any]:
    wanted = asked.asks(Over)
    now = datetime.now(UTC)
    found = history.series(asked.ledger, wanted.collection, now - timedelta(hours=wanted.hours), now, wanted.step_s)
    points = [
        {
            "at": point.at,
            "started": point.figures.started,
            "ended": dict(point.figures.ended),
            "documents": point.figures.documents,
            "documents_failed": point.figures.documents_failed,
            "documents_cached": point.figures.cached,
            "chunks": point.figures.chunks,
            "oldest_wait_s": point.figures.oldest_s,
            "run_p50_s": point.figures.run.percentile(0.5),
            "run_p95_s": point.figures.run.percentile(0.95),
            "wait_p50_s": point.figures.wait.percentile(0.5),
            "wait_p95_s": point.figures.wait.percentile(0.95),
        }
        for point in found.points
    ]
    return {
        "collection": found.collection,
        "collections": found.collections,
        "step_s": found.step_s,
        "rolled_up_at": found.rolled_up_at,
        "points": points,
    }


def views(asked: Asked) -> dict[str, Any]:
    return {"views": saved.views(asked.ledger)}


def view_saved(asked: Asked) -> saved.SavedView:
    said = asked.says(View)
    return saved.save(asked.ledger, asked.path["view"], query=said.query, sort=said.sort, replace=said.replace)


def view_deleted(asked: Asked) -> dict[str, str]:
    saved.forget(asked.ledger, asked.path["view"])
    return {"sentence": f"The view {asked.path['view']} was deleted."}


DOORS = [
    Door("GET", "/failures", Right.SEE, failing, "The failures that stand, by cause, the latest first", query=Failing),
    Door("POST", "/failures/{key}/acknowledge", Right.ACKNOWLEDGE, acknowledged, "Say that it is known", body=Noting),
    Door("POST", "/failures/{key}/withdraw", Right.ACKNOWLEDGE, withdrawn, "Take an acknowledgement back"),
    Door("GET", "/activity", Right.SEE, did, "Who did what to what, newest first", query=Leafing),
    Door("GET", "/record", Right.READ_RECORD, recorded, "The same of all time, from the files", query=Who),
    Door("GET", "/history", Right.SEE, over_time, "Figures over time", query=Over),
    Door("GET", "/views", Right.SEE, views, "The saved views of the team"),
    Door(
        "PUT",
        "/views/{view}",
        Right.SAVE_VIEWS,
        view_saved,
        "Save a view under a name",
        body=View,
        example={"query": "state:failed"},
    ),
    Door("DELETE", "/views/{view}", Right.SAVE_VIEWS, view_deleted, "Delete a saved view"),
]
