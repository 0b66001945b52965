"""Puts the next snapshot of a collection together from artifacts, under the publish lock, and commits it."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tasks.errors import IngestboardError
from tasks.ingest.artifacts import Artifacts
from tasks.ingest.plan import Plan
from tasks.ledger import Ledger, locks, monitor, store
from tasks.ledger.records import JobRow
from tasks.recipe import Recipe
from tasks.snapshots import holding, staging
from tasks.snapshots.rows import SnapshotRow
from tasks.snapshots.shelf import Shelf


class LockLost(IngestboardError):
    """The publish lock went to another publisher. Data: name."""

    sentence = "The publish lock of {name} was lost to another publisher; the publish starts again."


class ArtifactMissing(IngestboardError):
    """An artifact that the job made is gone. Data: document."""

    sentence = "The stored chunks of {document} are gone; retry all documents of this job."


class GateHeld(IngestboardError):
    """A gate of the collection held the snapshot back. Data: name, reason."""

    sentence = (
        "A gate of {name} held the new snapshot back: {reason}. It is kept: look at it on the collection's page, "
        "then publish or discard it there."
    )


class Assembly:
    """One publish of one job: its plan, its lock and its checkpoints."""

    def __init__(
        self,
        ledger: Ledger,
        reporter: store.Reporter,
        shelf: Shelf,
        job: JobRow,
        plan: Plan,
        lock: locks.PublishLock,
    ) -> None:
        self.ledger, self.reporter, self.shelf, self.job, self.plan, self.lock = (
            ledger,
            reporter,
            shelf,
            job,
            plan,
            lock,
        )
        self.recipe = Recipe.model_validate_json(job.recipe)
        self.artifacts = Artifacts(ledger.settings.data, self.recipe.fingerprint)
        self._brought = 0
        self._renewed = time.monotonic()

    def publish(self) -> SnapshotRow:
        """Stage, verify, pass the gates, commit. Raises GateHeld, and what makes the publish start again."""
        reporter, name = self.reporter, self.job.collection
        reporter.stage("index", f"Adding {len(self.plan.bring)} documents to {name}")
        reporter.check(now=True)
        staged = staging.stage(
            self.shelf,
            name,
            job=self.job.id,
            attempt=reporter.claim.attempt,
            owner=self.job.owner,
            recipe=self.recipe.fingerprint,
            embedder=self.recipe.embedder,
            dimension=self._dimension(),
            documents=self._documents(),
            checkpoint=self._checkpoint,
            remove=self.plan.remove,
            fresh=self.plan.fresh,
        )
        try:
            reporter.stage("publish", "Verifying the new snapshot")
            reporter.check(now=True)
            staging.verify(staged)
            self._pass_gates(staged)
            reporter.stage("publish", "Publishing")
            reporter.check(commit=True)
        except BaseException:
            staged.discard()
            raise
        return staging.commit(staged, still_owner=self._owned)

    def _pass_gates(self, staged: staging.Staged) -> None:
        reason = monitor.gates(self.ledger, self.job.collection).holds(
            failed=self.job.documents_failed, total=self.job.documents_total, documents=len(staged.documents)
        )
        if reason:
            holding.keep(staged, reason=reason)
            raise GateHeld(name=self.job.collection, reason=reason)

    def _documents(self) -> Iterator[staging.StagedDocument]:
        for row in self.plan.bring:
            table = self.artifacts.get(row.sha256)
            if table is None:
                raise ArtifactMissing(document=row.name)
            yield staging.StagedDocument(document=row.name, sha256=row.sha256, table=table)
            self._brought += 1

    def _dimension(self) -> int:
        """Numbers in a vector: of what is brought, else of what stays when documents are only removed."""
        if not self.plan.bring:
            return self.shelf.manifest(self.job.collection, self.plan.base).dimension
        first = self.plan.bring[0]
        table = self.artifacts.get(first.sha256)
        if table is None:
            raise ArtifactMissing(document=first.name)
        size: int = table.schema.field("vector").type.list_size
        return size

    def _checkpoint(self) -> None:
        self.reporter.progress(0.9 * self._brought / max(1, len(self.plan.bring)))
        self.reporter.check()
        if time.monotonic() - self._renewed > locks.LOCK_S / 4:
            self._renewed = time.monotonic()
            self._owned()

    def _owned(self) -> bool:
        if not self.lock.renew():
            raise LockLost(name=self.job.collection)
        return True
