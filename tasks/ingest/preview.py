"""The chunks of one document under a recipe, before it is submitted. Nothing is embedded and nothing is kept.

The command line calls `preview`; a page runs this module as a program of its own, one document a run, under limits
of memory and time and kept from other files, programs and network: a file that hangs, crashes or takes over its reader
costs a sentence.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from tasks import settings as settings_of
from tasks.confinement import confine
from tasks.errors import IngestboardError
from tasks.ingest import load, split
from tasks.ingest.loading.sentences import REFUSED
from tasks.recipe import Recipe

SHOWN = 20  # chunks that are given with their text
SECONDS = 20.0  # of reading, then what was seen so far is the answer


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk as it would be embedded."""

    position: int
    page: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Preview:
    """The first chunks, and figures over all that were seen; `whole` when the document was read to its end."""

    chunks: list[Chunk]
    total: int
    shortest: int
    longest: int
    mean: float
    whole: bool


def preview(path: Path, name: str, recipe: Recipe, *, shown: int = SHOWN, seconds: float = SECONDS) -> Preview:
    """Load and split as a worker would. Sizes are characters. Raises DocumentFailed with its sentence."""
    until = time.monotonic() + seconds
    chunks: list[Chunk] = []
    sizes: list[int] = []
    whole = True
    with closing(load.read(path, name, ocr=recipe.ocr)) as portions:  # type: ignore[type-var]
        for portion in portions:
            for node in split.split(portion.documents, recipe):
                if len(chunks) < shown:
                    chunks.append(Chunk(len(sizes), node.metadata.get("page"), node.text))
                sizes.append(len(node.text))
            if time.monotonic() > until and portion.done < portion.total:
                whole = False
                break
    mean = sum(sizes) / len(sizes) if sizes else 0.0
    return Preview(chunks, len(sizes), min(sizes, default=0), max(sizes, default=0), mean, whole)


def main() -> int:
    """One request as JSON on standard input, one answer as JSON on standard output."""
    request = json.loads(sys.stdin.read())
    using = settings_of.current()
    most = using.document_memory_mb * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if using.confine_readers:
        confine([Path(request["path"])])
    try:
        recipe = Recipe.model_validate(request["recipe"])
        answer = asdict(preview(Path(request["path"]), request["name"], recipe))
    except IngestboardError as error:
        answer = {"error": str(error)}
    except PermissionError:
        answer = {"error": REFUSED}
    except MemoryError:
        answer = {"error": "The document needs more memory than reading one may take; split it."}
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
