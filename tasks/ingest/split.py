"""Documents become chunks, by LlamaIndex node parsers chosen by the recipe.

The default one cuts in Rust (semantic-text-splitter) at the largest boundary that fits: blank lines, lines,
sentences, words.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.node_parser import MarkdownNodeParser, NodeParser, SentenceSplitter, TextSplitter
from llama_index.core.schema import BaseNode, Document, NodeRelationship, RelatedNodeInfo, TextNode
from semantic_text_splitter import TextSplitter as RustSplitter

from tasks.recipe import Recipe, Splitter


class CharacterSplitter(TextSplitter):
    """A LlamaIndex text splitter whose sizes are characters and whose work is done in Rust."""

    chunk_size: int = Field(default=1200, gt=0, description="Most characters of a chunk.")
    chunk_overlap: int = Field(default=120, ge=0, description="Most characters that neighbours share.")
    _splitter: RustSplitter = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        super().model_post_init(context)
        self._splitter = RustSplitter(self.chunk_size, overlap=self.chunk_overlap)

    @classmethod
    def class_name(cls) -> str:
        return "CharacterSplitter"

    def split_text(self, text: str) -> list[str]:
        """The chunks of a text, trimmed, none of them blank."""
        return [chunk for chunk in self._splitter.chunks(text) if chunk.strip()]

    def _parse_nodes(self, nodes: Sequence[BaseNode], show_progress: bool = False, **kwargs: Any) -> list[BaseNode]:
        # Not build_nodes_from_splits: the Rust splitter also tells where each chunk stands, which saves the
        # base class's search for it.
        parsed: list[BaseNode] = []
        for node in nodes:
            source = RelatedNodeInfo(node_id=node.node_id)
            for start, chunk in self._splitter.chunk_indices(node.get_content()):
                if chunk.strip():
                    parsed.append(self._node(node, source, start, chunk))
        return parsed

    def _node(self, node: BaseNode, source: RelatedNodeInfo, start: int, chunk: str) -> TextNode:
        return TextNode(
            text=chunk,
            metadata=dict(node.metadata) if self.include_metadata else {},
            excluded_embed_metadata_keys=node.excluded_embed_metadata_keys,
            excluded_llm_metadata_keys=node.excluded_llm_metadata_keys,
            relationships={NodeRelationship.SOURCE: source},
            start_char_idx=start,
            end_char_idx=start + len(chunk),
        )

    def _postprocess_parsed_nodes(self, nodes: list[BaseNode], parent_doc_map: dict[str, Document]) -> list[BaseNode]:
        # The base class searches each chunk in its document to find what `_parse_nodes` knows already.
        return nodes


def split(documents: Sequence[Document], recipe: Recipe) -> list[TextNode]:
    """The chunks of documents in their order, each with the metadata of its document, none blank."""
    nodes: Sequence[BaseNode] = documents
    for parser in _parsers(recipe.splitter, recipe.chunk_size, recipe.chunk_overlap):
        nodes = parser(nodes)
    return [node for node in nodes if isinstance(node, TextNode) and node.text.strip()]


@lru_cache(maxsize=8)
def _parsers(splitter: Splitter, size: int, overlap: int) -> tuple[NodeParser, ...]:
    if splitter == "sentence":
        return (SentenceSplitter(chunk_size=size, chunk_overlap=overlap, include_prev_next_rel=False),)
    characters = CharacterSplitter(chunk_size=size, chunk_overlap=overlap)
    if splitter == "markdown":
        return (MarkdownNodeParser(include_prev_next_rel=False), characters)
    return (characters,)
