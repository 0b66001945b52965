"""Loading of what offices write: PDF, Office files new and old, OpenDocument, rich text and e-books."""

from __future__ import annotations

import pytest

from tasks.ingest import load
from tests.unit.factories import compound, documents
from tests.unit.factories.reading import Put, pages_of, reason, text_of


def test_a_pdf_gives_its_pages_with_their_numbers(put: Put) -> None:
    path = put(documents.pdf(["first page", "", "third page"]))
    (portion,) = load.read(path, "a.pdf")
    assert [(document.metadata, document.text.strip()) for document in portion.documents] == [
        ({"page": 1}, "first page"),
        ({"page": 3}, "third page"),
    ]
    assert (portion.done, portion.total) == (3, 3)


def test_a_long_pdf_comes_in_ranges_of_sixteen_pages(put: Put) -> None:
    path = put(documents.pdf([f"page {number}" for number in range(1, 41)]))
    seen = [(portion.done, portion.total) for portion in load.read(path, "a.pdf") if portion.documents]
    assert seen == [(16, 40), (32, 40), (40, 40)]


def test_a_word_document_gives_paragraphs_and_tables_in_their_order(put: Put) -> None:
    path = put(documents.word(["Before"], [["Name", "City"], ["Ana", "Oslo"]], after="After"))
    assert text_of(path, "a.docx").split("\n") == ["Before", "", "Name | City", "Ana | Oslo", "", "After", "", ""]


def test_a_word_document_gives_inserted_text_and_content_controls_but_no_deleted_text(put: Put) -> None:
    run = "<w:r><w:t>{}</w:t></w:r>"
    body = (
        f"<w:p><w:pPr><w:tabs><w:tab w:val='left'/></w:tabs></w:pPr>{run.format('kept')}"
        f"<w:ins>{run.format(' inserted')}</w:ins><w:del>{run.format(' deleted')}</w:del></w:p>"
        f"<w:sdt><w:sdtContent><w:p>{run.format('controlled')}</w:p></w:sdtContent></w:sdt>"
    )
    assert text_of(put(documents.word_with_xml(body)), "a.docx").split() == ["kept", "inserted", "controlled"]


def test_a_presentation_gives_a_page_for_each_slide_with_tables_and_notes(put: Put) -> None:
    path = put(documents.slides(["One", "Two"], notes="Say hello", table=[["a", "b"], ["c", "d"]]))
    (portion,) = load.read(path, "a.pptx")
    assert [document.metadata["page"] for document in portion.documents] == [1, 2]
    assert portion.documents[1].text.split("\n") == ["Two", "", "a | b", "c | d", "", "Say hello", ""]


def test_a_workbook_gives_a_page_for_each_sheet_that_holds_something(put: Put) -> None:
    path = put(documents.sheets({"Sales": [["City", "Sum"], ["Oslo", 12.5]], "Empty": [], "More": [[True]]}))
    (portion,) = load.read(path, "a.xlsx")
    assert [(document.metadata["page"], document.text) for document in portion.documents] == [
        (1, "Sales\n\nCity | Sum\nOslo | 12.5\n"),
        (3, "More\n\nTrue\n"),
    ]


def test_a_pdf_without_text_asks_for_text_recognition_where_it_is_off(put: Put) -> None:
    assert "(OCR) is off" in reason(put(documents.pdf(["", ""])), "scan.pdf", ocr="off")


def test_an_encrypted_pdf_asks_for_one_without_a_password(put: Put) -> None:
    assert "protected with a password" in reason(put(documents.pdf(["secret"], password="pw")), "a.pdf")


def test_an_old_word_document_gives_its_paragraphs_and_rows(put: Put) -> None:
    text = "Before\rNam\xe9\x07City\x07\x07\x13 HYPERLINK x \x14shown\x15\r"
    for wide in (False, True):
        words = text_of(put(compound.old_word(text, wide=wide)), "a.doc")
        assert words.split("\n") == ["Before", "", "Namé | City", "shown", "", "", "", ""]


def test_a_word_file_from_before_1997_asks_for_a_newer_one(put: Put) -> None:
    assert "save it as .docx" in reason(put(compound.old_word("x", version=0x65)), "a.doc")


def test_an_old_word_document_that_leads_to_the_same_bytes_for_ever_is_damaged(put: Put) -> None:
    body = compound.old_word("harbour").replace(b"\x07\0\0\0\0\0", b"\xff\xff\xff\x7f\0\0")
    assert "could not be read as an old Word document" in reason(put(body), "a.doc")


def test_an_old_presentation_gives_its_slides_as_they_were_saved_last(put: Put) -> None:
    body = compound.old_powerpoint([("One", "first"), ("Two", "second")])
    assert pages_of(put(body), "a.ppt") == [(1, "One\n\nfirst\n\n"), (2, "Two\n\nsecond\n\n")]


def test_an_old_workbook_gives_a_page_for_each_sheet(put: Put) -> None:
    body = compound.old_excel("Sales", [["City", "Sum"], ["Oslo", 12.5], ["Rom", 3.0]])
    assert pages_of(put(body), "a.xls") == [(1, "Sales\n\nCity | Sum\nOslo | 12.5\nRom | 3\n")]


def test_an_open_document_text_gives_what_a_reader_sees(put: Put) -> None:
    body = (
        "<text:tracked-changes><text:p>deleted</text:p></text:tracked-changes><text:h>Port</text:h>"
        "<text:p>It<text:s text:c='2'/>is<text:tab/><text:span>old</text:span><office:annotation><text:p>a comment"
        "</text:p></office:annotation><draw:frame><draw:text-box><text:p>boxed</text:p></draw:text-box></draw:frame>"
        "</text:p><table:table><table:table-row><table:table-cell><text:p>a</text:p></table:table-cell>"
        "<table:table-cell><text:p>b</text:p></table:table-cell></table:table-row></table:table><text:p>After</text:p>"
    )
    words = text_of(put(documents.open_document("text", body)), "a.odt")
    assert words.split("\n") == ["Port", "", "It  is\told", "boxed", "", "a | b", "", "After", "", ""]


def test_an_open_document_spreadsheet_gives_a_page_for_each_sheet_however_wide_its_empty_rows(put: Put) -> None:
    empty = "<table:table-row table:number-rows-repeated='1048576'><table:table-cell/></table:table-row>"
    cell = "<table:table-cell table:number-columns-repeated='16384'><text:p>{}</text:p></table:table-cell>"
    body = "".join(
        f"<table:table table:name='{name}'>{empty}<table:table-row>{cell.format(text)}</table:table-row></table:table>"
        for name, text in (("One", "a"), ("Two", "b"))
    )
    pages = pages_of(put(documents.open_document("spreadsheet", body)), "a.ods")
    assert [(number, text.split()) for number, text in pages] == [(1, ["One", "a"]), (2, ["Two", "b"])]


def test_an_open_document_presentation_gives_a_page_for_each_slide(put: Put) -> None:
    slide = "<draw:page><draw:frame><draw:text-box><text:p>{}</text:p></draw:text-box></draw:frame></draw:page>"
    body = documents.open_document("presentation", slide.format("One") + slide.format("Two"))
    assert pages_of(put(body), "a.odp") == [(1, "One\n\n"), (2, "Two\n\n")]


def test_rich_text_gives_its_words_in_its_code_page_and_none_of_its_pictures(put: Put) -> None:
    body = rb"{\rtf1\ansi\ansicpg1251 \'cf\'ee\'f0\'f2 {\pict\pngblip " + b"ab" * 5000 + rb"}{\b old}\par {\*\x y}end}"
    assert text_of(put(body), "a.rtf") == "Порт old\nend"


def test_a_book_gives_its_chapters_in_reading_order(put: Put) -> None:
    chapters = {"b.xhtml": "<p>first</p><script/>", "a.xhtml": "<head><title/></head><p>second</p>"}
    assert text_of(put(documents.book("Port", chapters)), "a.epub").split() == ["Port", "first", "second"]
    turned = documents.book("Port", chapters, order=["a.xhtml", "b.xhtml", "gone"])
    assert text_of(put(turned), "a.epub").split() == ["Port", "second", "first"]


def test_a_book_that_its_seller_locked_says_so_and_one_with_scrambled_fonts_is_read(put: Put) -> None:
    locked = documents.book("Port", {"a": "<p>x</p>"}, locked_with="http://www.w3.org/2001/04/xmlenc#aes256-cbc")
    assert "locked by its seller" in reason(put(locked), "a.epub")
    fonts = documents.book("Port", {"a": "<p>x</p>"}, locked_with="http://www.idpf.org/2008/embedding")
    assert text_of(put(fonts), "a.epub").split() == ["Port", "x"]


def test_an_outlook_message_reads_like_an_email(put: Put) -> None:
    text = text_of(put(compound.outlook("Budget", "Ana", "Hello Ben", attachment="plan.xlsx")), "a.msg")
    assert 'Subject: Budget\nFrom: "Ana" <ana@example.org>\nTo: ben@example.org\n' in text
    assert text.endswith("Attachments: plan.xlsx\n\nHello Ben")
    assert text_of(put(compound.outlook("Hi", "Ana", "", "<p>Hello <b>Ben</b></p>")), "a.msg").startswith("Subject: Hi")


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (compound.old_word("x", encrypted=True), "a.doc"),
        (compound.old_powerpoint([("x", "y")], encrypted=True), "a.ppt"),
        (documents.open_document("text", "<text:p>x</text:p>", locked=True), "a.odt"),
    ],
)
def test_an_old_or_open_file_with_a_password_asks_for_one_without(put: Put, body: bytes, name: str) -> None:
    assert "protected with a password" in reason(put(body), name)


def test_an_encrypted_office_file_asks_for_one_without_a_password(put: Put) -> None:
    assert "protected with a password" in reason(put(compound.compound({"EncryptedPackage": b"x"})), "a.docx")


def test_an_office_file_without_its_parts_says_that_it_is_damaged(put: Put) -> None:
    assert "as a Word document" in reason(put(documents.archive({"word/document.xml": b"<x/>"})), "a.docx")


def test_an_email_gives_its_headers_its_text_and_the_names_of_its_attachments(put: Put) -> None:
    text = text_of(put(documents.mail("Budget", "Hello Ben", attachment="plan.xlsx")), "a.eml")
    assert "Subject: Budget" in text
    assert "From: Ana <ana@example.org>" in text
    assert "Attachments: plan.xlsx" in text
    assert text.endswith("Hello Ben\n")


def test_an_email_without_plain_text_gives_the_words_of_its_html(put: Put) -> None:
    assert text_of(put(documents.mail("Hi", html="<p>Hello <b>Ben</b></p>")), "a.eml").endswith("\n\nHello Ben")


def test_an_email_with_an_unknown_charset_is_read_all_the_same(put: Put) -> None:
    raw = b"Subject: x\nContent-Type: text/plain; charset=klingon\n\nharbour\n"
    assert "harbour" in text_of(put(raw), "a.eml")
