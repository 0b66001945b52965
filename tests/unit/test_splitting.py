"""Splitting: each splitter of a recipe gives chunks that cover the text, carry its page and are never blank."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.node_parser import TextSplitter
from llama_index.core.schema import Document, MetadataMode, NodeRelationship

from tasks.ingest.loading.portions import document
from tasks.ingest.split import CharacterSplitter, split
from tasks.recipe import Recipe, Splitter

SPLITTERS: list[Splitter] = ["characters", "sentence", "markdown"]
PARAGRAPHS = "\n\n".join(f"Paragraph {number} tells of the harbour. It is old. It is deep." for number in range(200))


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_every_splitter_keeps_the_page_on_each_chunk(splitter: Splitter) -> None:
    nodes = split([document(PARAGRAPHS, 3), document("harbour", 4)], Recipe(splitter=splitter))
    assert len(nodes) > 2
    assert {node.metadata["page"] for node in nodes[:-1]} == {3}
    assert (nodes[-1].text, nodes[-1].metadata["page"]) == ("harbour", 4)


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_no_splitter_loses_a_sentence(splitter: Splitter) -> None:
    together = "\n".join(node.text for node in split([document(PARAGRAPHS, None)], Recipe(splitter=splitter)))
    assert all(f"Paragraph {number} tells of the harbour." in together for number in range(200))


@pytest.mark.parametrize("splitter", SPLITTERS)
@pytest.mark.parametrize("text", ["", "   ", "\n\n\n", "\u00a0\u2003\n"])
def test_blank_text_gives_no_chunk(splitter: Splitter, text: str) -> None:
    assert split([Document(text=text)], Recipe(splitter=splitter)) == []


def test_a_chunk_is_at_most_as_long_as_the_recipe_says_and_overlaps_its_neighbour() -> None:
    recipe = Recipe(chunk_size=300, chunk_overlap=100)
    texts = [node.text for node in split([document(PARAGRAPHS, None)], recipe)]
    assert max(len(text) for text in texts) <= 300
    assert any(first[-20:] in second for first, second in pairwise(texts))


def test_a_chunk_knows_where_in_its_document_it_stands() -> None:
    (source,) = documents = [document(PARAGRAPHS + " æøå 🙂 " * 300, None)]
    for node in split(documents, Recipe(chunk_size=200, chunk_overlap=20)):
        assert source.text[node.start_char_idx : node.end_char_idx] == node.text
        related = node.relationships[NodeRelationship.SOURCE]
        assert getattr(related, "node_id", None) == source.node_id


def test_a_page_number_is_never_part_of_what_is_embedded() -> None:
    (node,) = split([document("harbour", 7)], Recipe())
    assert node.get_content(MetadataMode.EMBED) == "harbour"


def test_markdown_is_cut_at_its_headings() -> None:
    text = "# One\nfirst\n\n## Two\nsecond\n"
    assert [node.text for node in split([document(text, None)], Recipe(splitter="markdown"))] == [
        "# One\nfirst",
        "## Two\nsecond",
    ]


def test_the_splitter_is_a_llamaindex_text_splitter() -> None:
    splitter = CharacterSplitter(chunk_size=300, chunk_overlap=30)
    assert isinstance(splitter, TextSplitter)
    nodes = splitter.get_nodes_from_documents([Document(text=PARAGRAPHS)])
    assert splitter.split_text(PARAGRAPHS) == [node.get_content() for node in nodes]


@given(text=st.text(max_size=3000))
def test_any_text_splits_into_chunks_that_stand_in_it(text: str) -> None:
    recipe = Recipe(chunk_size=100, chunk_overlap=20)
    source = document(text, None)
    nodes = split([source], recipe)
    assert all(node.text.strip() and node.text in source.text for node in nodes)
    kept = {letter for node in nodes for letter in node.text}
    assert {letter for letter in source.text if not letter.isspace()} <= kept


def test_splitting_the_same_text_twice_gives_the_same_chunks() -> None:
    texts = [[node.text for node in split([document(PARAGRAPHS, None)], Recipe())] for _ in range(2)]
    assert texts[0] == texts[1]
