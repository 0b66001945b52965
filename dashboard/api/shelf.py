"""The doors to collections: their snapshots, searches, gates, and what is asked of workers about them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field
from starlette.responses import FileResponse

from dashboard import connection, exports
from dashboard.api.answers import HEADERS
from dashboard.api.door import Asked, Door, Said
from dashboard.api.jobs import JOB, RecipeSaid, receipt_of
from dashboard.search import Answer
from tasks import catalog, kinds
from tasks.access import Right
from tasks.errors import CollectionNotFound, RequestRefused
from tasks.kinds import CleanArguments, ExportArguments, HeldArguments, PruneArguments, RollBackArguments
from tasks.ledger import control, monitor
from tasks.ledger.records import Gates
from tasks.recipe import Recipe
from tasks.snapshots.rows import SnapshotRow


class Searching(Said):
    q: str = Field(min_length=1, max_length=2_000, description="what to look for")
    k: int = Field(default=10, ge=1, le=100, description="passages at most")
    version: str = Field(default="", pattern=r"^(\d{6,20})?$", description="a snapshot instead of the current one")


class GatesSaid(Said):
    max_failed_percent: float = Field(default=100, ge=0, le=100, description="of a job may fail")
    min_documents: int = Field(default=0, ge=0, le=10**9, description="must be in a snapshot")


def collections(asked: Asked) -> dict[str, Any]:
    return {"collections": catalog.collections(asked.settings, asked.person)}


def snapshots(asked: Asked) -> dict[str, list[SnapshotRow]]:
    rows = catalog.snapshots(asked.settings, asked.person, asked.path["collection"])
    if not rows:
        raise CollectionNotFound(name=asked.path["collection"])
    return {"snapshots": rows}


def found(asked: Asked) -> Answer:
    name, wanted = asked.path["collection"], asked.asks(Searching)
    snapshots(asked)
    return connection.answers().ask(asked.person, name, wanted.q, k=wanted.k, version=wanted.version or None)


def rolled_back(asked: Asked) -> SnapshotRow:
    version = asked.says(RollBackArguments).version
    return catalog.roll_back(asked.ledger, asked.path["collection"], version)


def held(asked: Asked) -> dict[str, Any]:
    return {"held": catalog.held(asked.settings, asked.person, asked.path["collection"])}


def discarded(asked: Asked) -> dict[str, Any]:
    name, job = asked.path["collection"], asked.says(HeldArguments).job
    catalog.discard_held(asked.ledger, name, job)
    return {"sentence": f"What job {job} made for {name} was removed."}


def rebuilt(asked: Asked) -> dict[str, Any]:
    recipe = Recipe.model_validate(asked.says(RecipeSaid).model_dump())
    return receipt_of(asked.ledger, catalog.rebuild(asked.ledger, asked.path["collection"], recipe))


def gates(asked: Asked) -> Gates:
    return monitor.gates(asked.ledger, asked.path["collection"])


def gates_set(asked: Asked) -> dict[str, Any]:
    said = asked.says(GatesSaid)
    wanted = Gates(said.max_failed_percent, said.min_documents)
    return {"sentence": control.set_gates(asked.ledger, asked.path["collection"], wanted)}


def pruned(asked: Asked) -> dict[str, Any]:
    return _asked_for(asked, kinds.PRUNE, f"Prune {asked.path['collection']}")


def exported(asked: Asked) -> dict[str, Any]:
    return _asked_for(asked, kinds.EXPORT, f"Export {asked.path['collection']}")


def published(asked: Asked) -> dict[str, Any]:
    return _asked_for(asked, kinds.PUBLISH_HELD, f"Publish what {asked.says(HeldArguments).job} made")


def cleaned(asked: Asked) -> dict[str, Any]:
    return _asked_for(asked, kinds.CLEAN, "Clean the caches")


def _asked_for(asked: Asked, kind: kinds.Kind, title: str) -> dict[str, Any]:
    """A job of a kind, for a worker."""
    receipt = control.request(
        asked.ledger,
        kind=kind.name,
        collection=asked.path.get("collection", ""),
        arguments=asked.says(BaseModel).model_dump_json(),
        title=title,
    )
    return receipt_of(asked.ledger, receipt)


def downloaded(asked: Asked) -> FileResponse:
    row = monitor.job(asked.ledger, asked.path["job"])
    path = exports.path_of(asked.settings.data, row)
    if path is None or not path.is_file():
        reason = "There is no such export any more; export the snapshot again."
        raise RequestRefused(status=404, code="not_found", reason=reason)
    return FileResponse(path, filename=path.name, headers=HEADERS)


NAME = "/collections/{collection}"
ONE = {"job": "0123456789ab"}
assert HeldArguments.model_fields["job"].metadata[0].pattern == JOB
DOORS = [
    Door("GET", "/collections", Right.SEE, collections, "The collections with a published snapshot"),
    Door("GET", f"{NAME}/snapshots", Right.SEE, snapshots, "The snapshots of a collection, newest first"),
    Door("GET", f"{NAME}/search", Right.SEE, found, "Passages of a collection near to a question", query=Searching),
    Door("GET", f"{NAME}/held", Right.SEE, held, "The snapshots that a gate holds back"),
    Door("GET", f"{NAME}/gates", Right.SEE, gates, "What a publish to a collection must pass"),
    Door("POST", f"{NAME}/gates", Right.SET_GATES, gates_set, "Set what a publish must pass", body=GatesSaid),
    Door(
        "POST",
        f"{NAME}/roll-back",
        Right.ROLL_BACK,
        rolled_back,
        "Make another snapshot the current one",
        body=RollBackArguments,
        example={"version": "000001"},
    ),
    Door("POST", f"{NAME}/prune", Right.PRUNE, pruned, "Remove old snapshots", body=PruneArguments, status=202),
    Door("POST", f"{NAME}/export", Right.EXPORT, exported, "Write it to a file", body=ExportArguments, status=202),
    Door("POST", f"{NAME}/rebuild", Right.REBUILD, rebuilt, "Make it again otherwise", body=RecipeSaid, status=202),
    Door(
        "POST",
        f"{NAME}/publish-held",
        Right.PUBLISH_HELD,
        published,
        "Publish what a gate holds back",
        body=HeldArguments,
        status=202,
        example=ONE,
    ),
    Door(
        "POST",
        f"{NAME}/discard-held",
        Right.DISCARD_HELD,
        discarded,
        "Discard what a gate holds back",
        body=HeldArguments,
        example=ONE,
    ),
    Door("POST", "/clean", Right.CLEAN, cleaned, "Remove what no snapshot needs", body=CleanArguments, status=202),
    Door("GET", "/exports/{job}", Right.SEE, downloaded, "The file that an export wrote"),
]
