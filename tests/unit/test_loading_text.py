"""Loading of text: web pages, XML, light markup, tables and JSON, in whatever encoding they come."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasks.ingest.loading import structures, tables
from tests.unit.factories.reading import Put, reason, text_of

ENGLISH = "The committee met on Tuesday and approved the budget of the harbour.\n"


def test_html_gives_the_words_that_a_reader_sees_with_its_blocks_apart(put: Put) -> None:
    page = (
        "<html><head><title>Harbour</title><script>var hidden = '<p>'</script><style>p {}</style></head><body>"
        "<h1>The  port</h1><p>It is<b> old</b>er than\n the town.</p><ul><li>one</li><li>two</li></ul>"
        "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr></table><pre>x  y\n  z</pre></body></html>"
    )
    expected = "Harbour\n\nThe port\n\nIt is older than the town.\n\none\ntwo\n\na | b\nc | d\n\nx  y\n  z"
    assert text_of(put(page), "a.html") == expected


def test_html_is_read_in_the_encoding_that_it_declares(put: Put) -> None:
    page = '<html><head><meta charset="windows-1251"></head><body><p>Привет</p></body></html>'
    assert text_of(put(page.encode("cp1251")), "a.html") == "Привет"


def test_html_never_loads_an_entity_from_a_file(put: Put, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("harbour")
    page = f'<!DOCTYPE html [<!ENTITY x SYSTEM "file://{tmp_path}/secret">]><p>before &x; after</p>'
    assert "harbour" not in text_of(put(page), "a.html")


def test_html_nested_a_hundred_thousand_deep_is_read(put: Put) -> None:
    assert text_of(put("<div>" * 100_000 + "deep"), "a.html") == "deep"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_table_gives_its_rows_under_the_names_of_its_columns(put: Put, delimiter: str) -> None:
    rows = [["name", "city"], ["Ana", "Oslo"], ["Ben", ""]]
    body = "\n".join(delimiter.join(row) for row in rows)
    assert text_of(put(body), "a.csv") == "name: Ana\ncity: Oslo\n\nname: Ben\n\n"


def test_a_table_keeps_quoted_commas_and_line_breaks_in_a_cell(put: Put) -> None:
    assert text_of(put('name,note\nAna,"a, b\nc"\n'), "a.csv") == "name: Ana\nnote: a, b\nc\n\n"


def test_a_table_without_names_numbers_its_columns(put: Put) -> None:
    assert text_of(put("1,2\n3,4\n"), "a.csv") == "column 1: 1\ncolumn 2: 2\n\ncolumn 1: 3\ncolumn 2: 4\n\n"


def test_a_table_keeps_the_heading_above_its_names(put: Put) -> None:
    assert text_of(put("Cities,\nname,country\nOslo,Norway\n"), "a.csv") == "Cities\n\nname: Oslo\ncountry: Norway\n\n"


def test_a_table_of_names_alone_still_gives_them(put: Put) -> None:
    assert text_of(put("name,city\n"), "a.csv") == "name, city\n"


def test_json_gives_every_value_with_the_path_that_leads_to_it(put: Put) -> None:
    value = {"name": "Ana", "address": {"city": "Oslo"}, "tags": ["a", {"b": True}], "none": None, "sum": 1.5}
    expected = "name: Ana\naddress.city: Oslo\ntags[0]: a\ntags[1].b: true\nsum: 1.5\n"
    assert text_of(put(json.dumps(value)), "a.json") == expected


def test_json_lines_are_read_line_by_line_whatever_they_are_called(put: Put) -> None:
    path = put('{"a": 1}\n\n{"a": 2}\n')
    assert text_of(path, "a.jsonl") == text_of(path, "a.json") == "a: 1\n\na: 2\n\n"


def test_json_too_large_to_parse_is_read_as_the_text_that_it_is(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structures, "WHOLE_MAX", 10)
    assert text_of(put('{"name": "Ana", "city": "Oslo"}'), "a.json") == '{"name": "Ana", "city": "Oslo"}'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_text_in_any_unicode_encoding_is_read(put: Put, encoding: str) -> None:
    text = ENGLISH * 3 + "Grüße, smørrebrød\n"
    assert text_of(put(text.encode(encoding)), "a.txt") == text


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("latin-1", "Ein schöner Tag für die Übergröße der Straße.\n"),
        ("cp1252", "Le café est déjà ouvert: “bien sûr”.\n"),
        ("cp1250", "Wszyscy ludzie rodzą się wolni i równi w swej godności.\n"),
        ("cp1251", "Привет мир, это обычный русский текст.\n"),
        ("shift_jis", "こんにちは世界。これは日本語です。\n"),
        ("gb18030", "中文文本测试,这是一个例子。\n"),
    ],
)
def test_text_in_an_older_encoding_is_recognised(put: Put, encoding: str, text: str) -> None:
    assert text_of(put((text * 5).encode(encoding)), "a.txt") == text * 5


def test_a_foreign_byte_deep_in_a_long_text_fails_nothing(put: Put) -> None:
    body = (ENGLISH * 20_000).encode() + "café\n".encode("latin-1")
    assert text_of(put(body), "a.txt").endswith("café\n")


def test_text_never_carries_a_nul_or_half_a_surrogate_pair(put: Put) -> None:
    text = text_of(put('{"a": "x\\u0000y\\ud800z"}'), "a.json")
    assert text == "a: xy?z\n"
    text.encode("utf-8")


def test_json_that_is_none_names_its_line(put: Put) -> None:
    assert "not valid JSON (line 3)" in reason(put('{\n"a": 1,\n"b": }'), "a.json")
    assert "not valid JSON (line 2)" in reason(put('{"a": 1}\nharbour\n'), "a.jsonl")


def test_json_nested_too_deeply_says_so(put: Put) -> None:
    assert "nested too deeply" in reason(put("[" * 200_000 + "]" * 200_000), "a.json")


def test_a_table_with_a_quote_that_never_ends_names_its_line(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "CELL_MAX", 1000)
    assert "near line" in reason(put('a,b\n1,"' + ENGLISH * 100), "a.csv")


def test_xml_gives_the_text_of_its_elements_in_their_order_and_no_tag(put: Put) -> None:
    body = (
        "<?xml version='1.0'?><!-- hidden --><list><city code='x'><name>Oslo</name><size>7</size></city>\n"
        "  <p>Water is H<sub>2</sub>O, <b>not</b> more.</p><p><![CDATA[a < b]]></p></list>"
    )
    assert text_of(put(body), "a.xml") == "Oslo\n7\nWater is H2O, not more.\na < b\n"


@pytest.mark.parametrize("encoding", ["utf-16", "iso-8859-1", "koi8-r"])
def test_xml_is_read_in_the_encoding_that_it_declares(put: Put, encoding: str) -> None:
    word = "Привет" if encoding == "koi8-r" else "Größe"
    body = f"<?xml version='1.0' encoding='{encoding}'?><a>{word}</a>"
    assert text_of(put(body.encode(encoding)), "a.xml") == word + "\n"


def test_xml_opens_no_file_and_unfolds_no_bomb(put: Put, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("harbour")
    outside = f"<!DOCTYPE a [<!ENTITY x SYSTEM 'file://{tmp_path}/secret'>]><a>before &x; after</a>"
    assert "harbour" not in text_of(put(outside), "a.xml")
    laughs = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 12))
    bomb = f"<!DOCTYPE a [<!ENTITY l0 'ha'>{laughs}]><a>before &l11;</a>"
    assert "not valid XML" in reason(put(bomb), "a.xml")


def test_xml_nested_deeply_is_read(put: Put) -> None:
    assert text_of(put("<a>" * 10_000 + "deep" + "</a>" * 10_000), "a.xml") == "deep\n"


def test_xml_that_is_none_names_its_line(put: Put) -> None:
    assert "not valid XML (line 2)" in reason(put("<a>\n<b></a>"), "a.xml")


def test_restructured_text_gives_its_words_without_the_marks(put: Put) -> None:
    body = (
        "=====\nPort\n=====\n\n.. a comment\n   goes on\n\n.. _target: https://x.example\n\nIt is **old** and ``big``, "
        "says `the map <https://x.example>`_ or :ref:`this one <x>`.\n\n.. include:: /etc/passwd\n   :start-line: 1\n\n"
        ".. note:: Mind the gap.\n   :class: x\n\n   It is deep::\n\n       x = 2 * 3 * 4\n\n"
        ".. image:: a.png\n   :alt: b\n\nEnd\n"
    )
    words = [line for line in text_of(put(body), "a.rst").split("\n") if line.strip()]
    assert words == [
        "Port",
        "It is old and big, says the map or this one.",
        "Mind the gap.",
        "   It is deep:",
        "       x = 2 * 3 * 4",
        "End",
    ]


def test_an_org_file_gives_its_words_without_the_marks(put: Put) -> None:
    body = (
        "#+TITLE: Port\n#+OPTIONS: toc:nil\n* TODO The harbour :old:\n:PROPERTIES:\n:ID: 7\n:END:\nIt is *old*, see "
        "[[x.org][the map]] or [[https://x.example]].\n# a comment\n| a | b |\n|---+---|\n"
        "#+BEGIN_SRC sh\nls -l\n#+END_SRC\n"
    )
    assert text_of(put(body), "a.org").split("\n") == [
        "Port",
        "The harbour",
        "It is old, see the map or https://x.example.",
        "| a | b |",
        "ls -l",
        "",
    ]


def test_a_table_with_tabs_is_read_by_its_name_too(put: Put) -> None:
    assert text_of(put("name\tcity\nAna\tOslo, Norway\n"), "a.tsv") == "name: Ana\ncity: Oslo, Norway\n\n"
