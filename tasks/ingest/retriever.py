"""A snapshot as a LlamaIndex vector store, for retrievers and query engines of any program; docs/snapshots.md shows it.

It only reads: documents come into a collection through jobs. Modes of a query: default (vectors), hybrid, text_search.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llama_index.core.schema import BaseNode, NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)

from tasks.snapshots.search import Hit, Mode, search
from tasks.snapshots.shelf import Shelf
from tasks.snapshots.table import chunk_id

_MODES: dict[VectorStoreQueryMode, Mode] = {
    VectorStoreQueryMode.DEFAULT: "vector",
    VectorStoreQueryMode.HYBRID: "hybrid",
    VectorStoreQueryMode.TEXT_SEARCH: "text",
}


class SnapshotStore(BasePydanticVectorStore):
    """One collection under a data folder: `version` of it, or whichever is current at each query."""

    stores_text: bool = True
    data: Path
    collection: str
    version: str | None = None

    @property
    def client(self) -> Shelf:
        return Shelf(self.data)

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """The best chunks; similarities are cosine, 0 to 1. Raises the errors of `tasks.snapshots.search.search`."""
        if query.mode not in _MODES or query.filters is not None or query.node_ids or query.doc_ids:
            raise NotImplementedError("A snapshot answers queries by vector, text or both, without filters.")
        if query.query_embedding is None:
            raise ValueError("A snapshot needs the embedding of the query.")
        hits = search(
            self.client,
            self.collection,
            query.query_embedding,
            k=query.hybrid_top_k or query.similarity_top_k,
            version=self.version,
            query=query.query_str,
            mode=_MODES[query.mode],
        )
        nodes = [_node(hit) for hit in hits]
        return VectorStoreQueryResult(
            nodes=nodes, similarities=[hit.score for hit in hits], ids=[node.node_id for node in nodes]
        )

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        raise NotImplementedError("A snapshot never changes; submit documents to its collection.")

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        raise NotImplementedError("A snapshot never changes; submit a job that removes the document.")


def _node(hit: Hit) -> TextNode:
    about = {"document": hit.document, "chunk": hit.chunk, "sha256": hit.sha256}
    if hit.page is not None:
        about["page"] = hit.page
    source = RelatedNodeInfo(node_id=hit.document)
    return TextNode(
        id_=chunk_id(hit.document, hit.chunk),
        text=hit.text,
        metadata=about,
        relationships={NodeRelationship.SOURCE: source},
    )
