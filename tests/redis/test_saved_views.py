"""Saved views of the board, on both kinds of server."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.errors import ViewExists, ViewNotFound, ViewRefused
from tasks.ledger import Ledger, keys, saved
from tasks.ledger.records import text


def audited(ledger: Ledger) -> list[tuple[str, str]]:
    """Who did what, oldest first."""
    rows: list[Any] = ledger.redis.xrange(keys.AUDIT) or []
    return [(text(fields[b"by"]), text(fields[b"action"])) for _, fields in rows]


def test_a_saved_view_is_there_for_the_whole_team_with_its_author(ledger: Ledger) -> None:
    saved.save(ledger, "  Broken   scans ", query="state:failed file:scan", sort="changed", by="ana")
    saved.save(ledger, "all of ben", query="owner:ben", by="ben")
    first, second = saved.views(ledger)
    assert (first.name, first.query, first.sort, first.by) == ("all of ben", "owner:ben", "", "ben")
    assert (second.name, second.query, second.sort, second.by) == (
        "Broken scans",
        "state:failed file:scan",
        "changed",
        "ana",
    )
    assert second.at is not None
    assert audited(ledger) == [("ana", "save view"), ("ben", "save view")]


def test_a_view_is_replaced_only_when_that_was_said(ledger: Ledger) -> None:
    saved.save(ledger, "mine", query="owner:ana", by="ana")
    with pytest.raises(ViewExists, match="saved by ana"):
        saved.save(ledger, "mine", query="owner:ben", by="ben")
    assert [view.query for view in saved.views(ledger)] == ["owner:ana"]
    saved.save(ledger, "mine", query="owner:ben", by="ben", replace=True)
    assert [(view.query, view.by) for view in saved.views(ledger)] == [("owner:ben", "ben")]


@pytest.mark.parametrize("name", ["", "   ", "x" * 61, "bell\a"])
def test_a_name_that_cannot_be_shown_is_refused(ledger: Ledger, name: str) -> None:
    with pytest.raises(ViewRefused, match="1 to 60"):
        saved.save(ledger, name, query="", by="ana")
    assert saved.views(ledger) == []
    assert audited(ledger) == []


def test_views_are_bounded_and_a_full_list_still_takes_changes(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved, "KEPT", 2)
    saved.save(ledger, "one", query="a", by="ana")
    saved.save(ledger, "two", query="b", by="ana")
    with pytest.raises(ViewRefused, match="2 views already"):
        saved.save(ledger, "three", query="c", by="ana")
    saved.save(ledger, "two", query="c", by="ana", replace=True)
    with pytest.raises(ViewRefused, match="characters"):
        saved.save(ledger, "one", query="q" * 1001, by="ana", replace=True)


def test_a_view_is_deleted_once(ledger: Ledger) -> None:
    saved.save(ledger, "mine", query="owner:ana", by="ana")
    saved.forget(ledger, "mine", by="ben")
    with pytest.raises(ViewNotFound):
        saved.forget(ledger, "mine", by="ben")
    assert audited(ledger) == [("ana", "save view"), ("ben", "delete view")]


def test_a_damaged_view_is_left_out(ledger: Ledger) -> None:
    ledger.redis.hset(keys.SAVED_VIEWS, mapping={"broken": "{", "list": "[]", "bare": "{}"})
    assert [(view.name, view.query, view.at) for view in saved.views(ledger)] == [("bare", "", None)]
