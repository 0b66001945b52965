"""The kinds of job beside ingestion: their names, stages and arguments. Light, so that pages and commands can ask.

What a kind does is a function in `tasks.ingest.kinds`, named here by its dotted name; a worker runs it as the
last step of a job without documents. docs/adding-a-task.md shows how a new one is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.access import Right
from tasks.errors import SubmissionRefused


class Arguments(BaseModel):
    """What a job of a kind is asked; checked when it is submitted and again when it runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RollBackArguments(Arguments):
    version: str = Field(pattern=r"^\d{6,}$", description="the snapshot to make current")


class CleanArguments(Arguments):
    older_than_days: float = Field(default=30.0, ge=0, description="leave what was used within so many days")
    most_bytes: int = Field(
        default=0, ge=0, description="and go on by age until the caches hold at most this; 0: no limit"
    )


class PruneArguments(Arguments):
    keep_last: int = Field(default=5, ge=1, description="snapshots kept, the newest")
    older_than_days: float | None = Field(default=None, ge=0, description="of the rest, only those older than this")


class ExportArguments(Arguments):
    format: Literal["parquet", "jsonl", "zip"] = Field(default="parquet", description="how the file is written")
    version: str = Field(default="", pattern=r"^(\d{6,})?$", description="the snapshot; empty: the current one")
    vectors: bool = Field(default=True, description="whether the vectors are in it")


class HeldArguments(Arguments):
    job: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="the job whose snapshot a gate holds")


class BulkArguments(Arguments):
    action: Literal["cancel", "force stop", "retry", "delete", "reprioritise"] = Field(description="what is done")
    jobs: int = Field(ge=1, le=10_000, description="how many jobs were chosen")
    shown: str = Field(default="", max_length=500, description="the search that gave them")
    failed_only: bool = Field(default=True, description="of a retry: what did not complete, or all of it")
    priority: Literal["", "high", "default", "low"] = Field(default="", description="of a reprioritise: the new one")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of job. `stages` are what its page shows; `runs` is `module.function` below tasks.ingest.kinds.

    `right` is what asking for one takes.
    """

    name: str
    stages: tuple[str, ...]
    arguments: type[Arguments]
    runs: str
    about: str
    right: Right

    def check(self, raw: str) -> Arguments:
        """The arguments from their JSON. Raises SubmissionRefused with the field's name."""
        try:
            return self.arguments.model_validate_json(raw or "{}")
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            field = ".".join(map(str, first["loc"])) or "arguments"
            raise SubmissionRefused(reason=f"{self.name}: {field} {first['msg'].lower()}") from None


ROLL_BACK = Kind(
    "roll back", ("move",), RollBackArguments, "roll_back.run", "makes an older snapshot current", Right.ROLL_BACK
)
PRUNE = Kind("prune", ("remove",), PruneArguments, "prune.run", "removes old snapshots that nobody reads", Right.PRUNE)
PUBLISH_HELD = Kind(
    "publish held",
    ("publish",),
    HeldArguments,
    "publish_held.run",
    "publishes what a gate held back",
    Right.PUBLISH_HELD,
)
EXPORT = Kind("export", ("write",), ExportArguments, "export.run", "writes a snapshot to a file", Right.EXPORT)
CLEAN = Kind(
    "clean caches", ("look", "remove"), CleanArguments, "clean.run", "removes cached artifacts and uploads", Right.CLEAN
)

# What is done to the jobs takes a right of its own, which tasks.bulk asks for.
BULK = Kind("bulk action", ("act",), BulkArguments, "bulk.run", "does one thing to many jobs", Right.SEE)

KINDS = {kind.name: kind for kind in (ROLL_BACK, PRUNE, PUBLISH_HELD, EXPORT, CLEAN, BULK)}


def export_path(data: Path, job_id: str, collection: str, form: str) -> Path:
    """Where the export of a job lies: below a folder of the job, so that no two of one name meet."""
    return data / "exports" / job_id / f"{collection}.{form}"
