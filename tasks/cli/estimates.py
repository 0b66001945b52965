"""What `submit --dry-run` says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import BinaryIO

import typer

from tasks.cli import show
from tasks.ledger import Ledger
from tasks.recipe import Recipe

NAMED = 10  # vanished documents that are named


def estimated(
    ledger: Ledger,
    files: Iterable[tuple[str, BinaryIO]],
    collection: str,
    recipe: Recipe,
    *,
    sync: bool,
    yes: bool,
    json: bool,
) -> None:
    """Print the estimate, and with --sync what would be removed. Raises SyncBraked like the submission would."""
    from tasks import catalog, estimate
    from tasks.snapshots.shelf import Shelf
    from tasks.snapshots.syncing import vanished
    from tasks.submitting import clean_name, with_embedder

    candidates = estimate.look(files)
    made = estimate.estimate(ledger, candidates, with_embedder(recipe, ledger.settings))
    names = [clean_name(one.name) for one in candidates]
    catalog.must_see(ledger.person, collection)
    gone = vanished(Shelf(ledger.settings.data), collection, names, yes=yes) if sync else []
    if json:
        show.as_json({**asdict(made), "to_remove": gone})
        return
    show.facts(
        [
            ("documents", f"{made.documents}, {show.size(made.bytes)}"),
            ("known already", str(made.known)),
            ("to embed", f"{made.to_embed}, about {made.chunks} chunks and {made.tokens} tokens"),
            ("time", "no worker is alive" if made.seconds is None else f"about {show.lasting(made.seconds)}"),
            ("cost", "no price is set (INGESTBOARD_EMBED_PRICE)" if made.cost is None else f"about {made.cost:.2f}"),
            ("basis", "what was embedded here before" if made.from_history else "a rule of thumb; nothing like it yet"),
            *([("to remove", f"{len(gone)}: {', '.join(map(show.clean, gone[:NAMED]))}")] if sync else []),
        ]
    )
    typer.echo("Nothing was submitted.")
