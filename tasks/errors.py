"""Every error that a person may meet: one root, a sentence each, carrying its data.

A message says what happened, to what, and what to do. It carries names, counts and reasons only:
never document text, never a secret.
"""

from __future__ import annotations

from typing import Any


class IngestboardError(Exception):
    """Something went wrong in Ingestboard; look at the log for more."""

    sentence = "Something went wrong in Ingestboard; look at the log for more."

    def __init__(self, **data: Any) -> None:
        self.data = data
        super().__init__(self.sentence.format_map(data))

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.data))


def _rebuild(cls: type[IngestboardError], data: dict[str, Any]) -> IngestboardError:
    return cls(**data)


class SettingsError(IngestboardError):
    """A setting cannot be used. Data: variable, reason."""

    sentence = "The setting {variable} cannot be used: {reason}; correct it and start again."


class RedisUnreachable(IngestboardError):
    """No answer from Redis. Data: url (masked), reason."""

    sentence = "Redis at {url} does not answer ({reason}); check REDIS_URL and that the server runs."


class RedisTooOld(IngestboardError):
    """The server is older than we need. Data: url (masked), version, needed."""

    sentence = "Redis at {url} is version {version}; Ingestboard needs {needed} or newer."


class DataUnwritable(IngestboardError):
    """The data folder cannot be written. Data: path, reason."""

    sentence = "The folder {path} cannot be written ({reason}); free space or set INGESTBOARD_DATA to another folder."


class JobNotFound(IngestboardError):
    """No job of that id. Data: job."""

    sentence = "There is no job {job}; it may have been deleted or its time on the board has passed."


class ActionRefused(IngestboardError):
    """The state of a job does not allow the action. Data: job, state, action, allowed (a phrase)."""

    sentence = "Job {job} is {state}; only a job that is {allowed} can be {action}."


class TooLateToCancel(IngestboardError):
    """The job is at its commit point. Data: job."""

    sentence = (
        "Job {job} is publishing its snapshot at this moment and can no longer be canceled; "
        "roll the collection back instead."
    )


class WorkerNotFound(IngestboardError):
    """No worker of that name. Data: worker."""

    sentence = "There is no worker {worker}; `ingestboard workers` lists those there are."


class SteeringRefused(IngestboardError):
    """A queue, worker or pool cannot be steered so. Data: reason (a clause with its remedy)."""

    sentence = "Nothing was changed: {reason}."


class SubmissionRefused(IngestboardError):
    """A submission that cannot be accepted. Data: reason (a clause with its remedy)."""

    sentence = "Nothing was submitted: {reason}."


class ViewRefused(IngestboardError):
    """A view of the board that cannot be saved. Data: reason (a clause with its remedy)."""

    sentence = "The view was not saved: {reason}."


class ViewExists(IngestboardError):
    """Another view has that name. Data: name, by."""

    sentence = "There is a view {name} already, saved by {by}; say that it may be replaced, or choose another name."


class ViewNotFound(IngestboardError):
    """No saved view of that name. Data: name."""

    sentence = "There is no saved view {name}; somebody may have deleted it."


class SyncBraked(IngestboardError):
    """A sync would remove more than the brake allows. Data: name, vanished, total, percent."""

    sentence = (
        "{vanished} of the {total} documents in {name} are not in the folder any more, more than {percent} percent; "
        "nothing was removed. Check the folder, and say yes to removing them if that is right."
    )


class CollectionNameRefused(IngestboardError):
    """A collection name that is no safe folder name. Data: name."""

    sentence = (
        "{name!r} cannot name a collection; use 1 to 64 letters, digits, dashes or underscores, "
        "starting with a letter or digit."
    )


class CollectionNotFound(IngestboardError):
    """No published snapshot under that name. Data: name."""

    sentence = "The collection {name} has no published snapshot; submit documents to it first."


class SnapshotNotFound(IngestboardError):
    """No such version of the collection. Data: name, version."""

    sentence = "The collection {name} has no snapshot {version}; `ingestboard snapshots {name}` lists those it has."


class DocumentFailed(IngestboardError):
    """One document cannot be ingested. Data: reason (a whole sentence that a person can act on)."""

    sentence = "{reason}"


class DocumentPastLimit(DocumentFailed):
    """It took longer than its job has for one. Data: limit_s."""

    sentence = (
        "The document took longer than the limit of {limit_s:g} s that its job has a document; submit it with a longer "
        "one, or split it."
    )


class EmbedderUnusable(IngestboardError):
    """The embedder named in the settings cannot be loaded. Data: embedder, reason."""

    sentence = "The embedder {embedder} cannot be loaded ({reason}); correct INGESTBOARD_EMBEDDER or its arguments."


class SnapshotInvalid(IngestboardError):
    """A staged snapshot did not pass verification and was not published. Data: name, reason."""

    sentence = "The new snapshot of {name} was not published because it did not verify: {reason}."


# What a worker meets between its checks. They are no failures of a job: they say why it stops here.


class Stopping(IngestboardError):
    """The work stops at this checkpoint."""


class Canceled(Stopping):
    """A person asked for the stop. Data: job."""

    sentence = "Job {job} was canceled."


class Fenced(Stopping):
    """Another attempt owns this work now. Data: job, attempt."""

    sentence = "Attempt {attempt} of job {job} is no longer current and writes nothing more."


class Yielded(Stopping):
    """Other jobs wait and this shard had its turn. Data: job."""

    sentence = "Job {job} lets the jobs that wait go first and goes on after them."


class HandedBack(Stopping):
    """The worker is shutting down and gives the shard back to the queue. Data: job."""

    sentence = "The worker is shutting down; job {job} goes on elsewhere."


class SearchFailed(IngestboardError):
    """A search without an answer. Data: reason (a whole sentence)."""

    sentence = "{reason}"


# What a publish or a search of a collection can meet.


class BaseMoved(IngestboardError):
    """CURRENT is no longer the version that a staged snapshot is based on. Data: name, base, current."""

    sentence = (
        "The collection {name} moved from {base} to {current} while a new snapshot was being staged; "
        "nothing was published, retry the job to publish on top of the newer one."
    )


class CollectionBusy(IngestboardError):
    """Another process holds the pointer of the collection for too long. Data: name."""

    sentence = "The collection {name} is being changed by another process; try again in a moment."


class EmbedderMismatch(IngestboardError):
    """A query or documents of another embedder than the collection's. Data: name, built, asked."""

    sentence = (
        "The collection {name} was built with {built} and cannot take vectors of {asked}; "
        "use a collection of its own for each embedder, or set INGESTBOARD_EMBEDDER back."
    )


# What the programs say when they cannot start.


class RedisMissing(IngestboardError):
    """No server to embed. Data: reason."""

    sentence = "There is no Redis 6.2 or newer to start ({reason}); install redis-server or set REDIS_URL."


class RedisNotStarted(IngestboardError):
    """The embedded server did not come up. Data: reason (a clause), log."""

    sentence = "The embedded Redis did not start: {reason}; see {log}."


class AlreadyRunning(IngestboardError):
    """Another `up` holds the data folder. Data: data, address."""

    sentence = "Ingestboard already runs on {data}, at {address}; open that, or set INGESTBOARD_DATA to another folder."


class ProgramEnded(IngestboardError):
    """One of the programs of `up` ended or stayed silent while it started. Data: name, what, reason, log."""

    sentence = "The {name} {what} while starting: {reason} See {log}."


class PortUnusable(IngestboardError):
    """The dashboard cannot listen there. Data: host, port, reason."""

    sentence = (
        "The dashboard cannot listen on {host}:{port} ({reason}); stop that program or set PORT to another number."
    )


class EmbedderFailed(IngestboardError):
    """The embedder raised while it worked. Data: embedder, reason (type and HTTP status; never its message)."""

    sentence = "The embedder {embedder} failed ({reason}); check its service and its arguments, then retry."


class QueryRefused(IngestboardError):
    """A query that cannot be searched. Data: reason (a clause with its remedy)."""

    sentence = "The search was not made: {reason}."


# What the command line says.


class JobFailed(IngestboardError):
    """A job that a command waited for did not complete. Data: job, state, reason."""

    sentence = "Job {job} is {state}: {reason}"


class NotRunning(IngestboardError):
    """No embedded Redis answers. Data: data."""

    sentence = "Nothing runs on {data}; start it with `ingestboard up`, or set REDIS_URL or INGESTBOARD_DATA."


class FileUnreadable(IngestboardError):
    """A file named on the command line cannot be read. Data: path, reason."""

    sentence = "{path} cannot be read ({reason}); nothing was submitted."


# What the embedder and the reader of documents may meet.


class EmbedderBusy(EmbedderFailed):
    """The embedder may well answer later. Data: embedder, reason, limited, after_s (None when it did not say)."""


class ReaderLost(IngestboardError):
    """The process that read a document ended without a result. Data: what (a clause), remedy."""

    sentence = "The file {what}; {remedy}."


# Snapshots that a gate held back, and what is taken out of the shelf.


class HeldNotFound(IngestboardError):
    """No snapshot is held for that job. Data: name, job."""

    sentence = (
        "The collection {name} holds no snapshot of job {job} back; it was published or discarded meanwhile, "
        "retry the job to make it again."
    )


class ExportRefused(IngestboardError):
    """An export that cannot be written where it was asked for. Data: path, reason."""

    sentence = "Nothing was exported: {path} cannot be written ({reason}); free space or name another file."


# What the RQ jobs of other programs may meet.


class ForeignJobNotFound(IngestboardError):
    """No RQ job of that id. Data: job."""

    sentence = "There is no RQ job {job} on this Redis any more; RQ forgets jobs after their time, or it was deleted."


class ForeignActionRefused(IngestboardError):
    """An RQ job that cannot be moved so. Data: job, action (a participle), reason (a clause with its remedy)."""

    sentence = "The RQ job {job} was not {action}: {reason}."


class RecordDamaged(IngestboardError):
    """Redis holds something that we never wrote under a name of ours. Data: what (a phrase)."""

    sentence = "The record of {what} is damaged in Redis; the janitor sets damaged records aside within a minute."


# What somebody who has signed in, or has not, may meet.


class NotAllowed(IngestboardError):
    """The role does not hold the right. Data: person, right (completes 'may not'), role ('' for none), needed."""

    sentence = "{person} may not {right}: that takes the role {needed}, and theirs is {role}; ask an administrator."


class NotSignedIn(IngestboardError):
    """Nobody is known to ask. Data: remedy (a clause)."""

    sentence = "Nobody is signed in here; {remedy}."


class NoSignIn(IngestboardError):
    """The board would listen where others reach it, and nobody would sign in. Data: host."""

    sentence = (
        "The board does not start on {host} while nobody signs in (INGESTBOARD_AUTH=local): set INGESTBOARD_AUTH to "
        "oidc or proxy as docs/sign-in.md shows, or INGESTBOARD_HOST to 127.0.0.1."
    )


class SignInUnusable(IngestboardError):
    """The sign-in cannot be used as it is set. Data: reason, remedy (clauses)."""

    sentence = "Nobody could sign in: {reason}; {remedy}, docs/sign-in.md shows how."


class RolesUnreadable(IngestboardError):
    """The roles file cannot be used. Data: path, reason."""

    sentence = "The roles file {path} cannot be used ({reason}); correct it, docs/sign-in.md shows one."


class RolesRefused(IngestboardError):
    """A change of the roles file that nobody could take back. Data: reason (a clause)."""

    sentence = "The roles stay as they are: {reason}."


class TokenRefused(IngestboardError):
    """A token that opens nothing. Data: reason (a clause with its remedy)."""

    sentence = "The token was not accepted: {reason}."


class AllowanceUsed(IngestboardError):
    """Somebody has submitted what one person may in this time. Data: person, what, remedy, wait_s or None."""

    sentence = "{person} has submitted {what}; {remedy}."


# What a program may meet that asks over HTTP.


class RequestRefused(IngestboardError):
    """A request that is none of ours, or too much of one. Data: reason (a whole sentence), status (of HTTP), code."""

    sentence = "{reason}"
