"""The text of a search: never an error, always the same canonical text, and it finds what it says."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dashboard.memory.matching import NEWEST, SORTS, Matcher, Sort
from dashboard.memory.query import MOST_TERMS, NAMES, Query, Term, parse
from dashboard.memory.rows import Rows
from dashboard.memory.selection import Selection
from dashboard.memory.suggestions import suggest
from tasks.ledger import packed
from tasks.ledger.packed import Packed
from tests.board_rows import memory_of, mirror_of, row

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()

words = st.text(st.characters(codec="utf-8"), max_size=30)
names = st.sampled_from([*NAMES, "stat", "x", "STATE", ""])
pieces = st.builds(
    lambda minus, name, value, quotes: f"{minus}{name}{':' if name else ''}{quotes}{value}{quotes}",
    st.sampled_from(["", "-", "--"]),
    names,
    st.one_of(words, st.sampled_from(["failed", "failed,running", "1h", "2.5d", "stalled", "high", 'a"b', "a\\", ","])),
    st.sampled_from(["", '"']),
)
typed = st.one_of(st.text(max_size=300), st.lists(pieces, max_size=60).map(" ".join))


@given(typed)
@example('-"')
@example('state:"failed')
@example("\\")
@example("état:failed")
def test_no_text_raises_and_the_canonical_text_is_a_fixed_point(text: str) -> None:
    query = parse(text)
    again = parse(str(query))
    assert again == query
    assert str(again) == str(query)
    assert not again.problems
    assert len(query.terms) <= MOST_TERMS
    assert all(problem.endswith((".", "?")) for problem in query.problems)


@given(typed)
def test_any_query_can_be_asked_of_any_row(text: str) -> None:
    matcher = Matcher(parse(text), {})
    assert matcher(row("j1", created_at=NOW - 60), NOW) in (True, False)


def test_qualifiers_quotes_lists_and_negation_are_read() -> None:
    query = parse('invoice State:failed,partial error:"is \\"encrypted\\"" -owner:ana older:1H')
    assert query.terms == (
        Term("state", "failed"),
        Term("state", "partial"),
        Term("owner", "ana", negated=True),
        Term("error", 'is "encrypted"'),
        Term("older", "1h"),
        Term("", "invoice"),
    )
    assert str(query) == 'state:failed state:partial -owner:ana error:"is \\"encrypted\\"" older:1h invoice'
    assert query.values("state") == ("failed", "partial")


def test_the_same_question_is_the_same_query_however_it_is_typed() -> None:
    assert parse("owner:ana state:failed") == parse("  state:FAILED   owner:ana state:failed ")
    assert hash(parse("owner:ana state:failed")) == hash(parse("state:failed owner:ana"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("stat:failed", "'stat' is no qualifier; did you mean 'state'?"),
        ("state:fail", "'fail' is no state; did you mean 'failed'?"),
        ("older:soon", "'soon' is no age; write older:1h, with s, m, h, d or w."),
        ("took:5", "'5' is no age; write took:30m, with s, m, h, d or w."),
        ("owner:", "'owner:' needs a value, as in owner:value."),
        ('owner:""', "'owner:' needs a value, as in owner:value."),
        ("priority:urgent", "'urgent' is no priority; use high, default or low."),
        ("https://example.com", "'https' is no qualifier; put it in quotes to search for it as it stands."),
    ],
)
def test_what_cannot_be_used_is_a_sentence(text: str, problem: str) -> None:
    assert parse(text).problems == (problem,)


def test_a_query_is_built_from_another() -> None:
    query = parse("state:failed owner:ana late")
    assert str(query.having("state", "running")) == "state:running owner:ana late"
    assert str(query.without("state", "")) == "owner:ana"
    assert query.having("owner").values("owner") == ()
    assert Query().empty


ROWS = (
    row("a1", state="failed", title="Etwas über Recht", error="It is encrypted.", created_at=NOW - 7200),
    row("b2", state="running", owner="ben", worker="host.7", created_at=NOW - 600, started_at=NOW - 500),
    row("b3", collection="letters", kind="export", priority="high", snapshot="000007", created_at=NOW - 60),
    row("c4", title="invoice 7", stage="embed", started_at=NOW - 90, ended_at=NOW - 60, created_at=NOW - 86_400),
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "b3 b2 a1 c4"),
        ("state:failed,running", "b2 a1"),
        ("-state:failed", "b3 b2 c4"),
        ("ÜBER", "a1"),
        ("error:ENCRYPTED", "a1"),
        ("-error:encrypted -owner:ben", "b3 c4"),
        ("id:b", "b3 b2"),
        ("collection:Letters", "b3"),
        ("collection:letter", ""),
        ("worker:host", "b2"),
        ("kind:export priority:high snapshot:000007", "b3"),
        ("stage:embed", "c4"),
        ("older:1h", "a1 c4"),
        ("newer:1h", "b3 b2"),
        ("older:1m newer:1h", "b3 b2"),
        ("took:5m", "b2"),
        ("took:30s", "b2 c4"),
        ("-took:30s", "b3 a1"),
        ("file:invoice", "c4"),
        ("file:scan", "b3"),
        ("error:EMPTY", "b3"),
        ('error:"cannot be read"', "b3"),
        ("error:encrypted error:empty", "b3 a1"),
        ("tiff empty", "b3"),
        ("invoice 7", "c4"),
        ("invoice nothing", ""),
        ("b2", "b2"),
    ],
)
def test_a_query_finds_what_it_says(text: str, found: str) -> None:
    rows = Rows(100)
    rows.put(ROWS)
    matcher = Matcher(parse(text), {"b3": "scan-1.tiff"}, {"b3": "page 4 cannot be read.\nit is empty."})
    selection = Selection(rows, matcher, NEWEST)
    selection.catch_up(NOW)
    assert " ".join(selection.ids(0)) == found


def test_an_age_is_kept_up_without_any_news() -> None:
    rows = Rows(100)
    rows.put(ROWS)
    selection = Selection(rows, Matcher(parse("older:20m"), {}), NEWEST)
    found = []
    for later in (0, 599, 601, 1139, 1141):
        selection.catch_up(NOW + later)
        found.append(" ".join(selection.ids(0)))
    assert found == ["a1 c4", "a1 c4", "b2 a1 c4", "b2 a1 c4", "b3 b2 a1 c4"]


def test_what_runs_long_enough_is_found_without_any_news() -> None:
    rows = Rows(100)
    rows.put(ROWS)
    selection = Selection(rows, Matcher(parse("took:10m"), {}), NEWEST)
    selection.catch_up(NOW)
    assert selection.ids(0) == []
    selection.catch_up(NOW + 101)
    assert selection.ids(0) == ["b2"]


values = st.sampled_from(["", "a", "B", "ß"])
made = st.builds(
    lambda number, state, title, owner, created, started: row(
        f"j{number}",
        state=state,
        title=title,
        owner=owner,
        created_at=NOW - created,
        started_at=started and NOW - started,
    ),
    st.integers(0, 9),
    st.sampled_from(["queued", "running", "failed", "completed"]),
    values,
    values,
    st.sampled_from([10, 20, 3600, 7200]),
    st.sampled_from([0, 5, 4000]),
)
steps = st.lists(st.one_of(made, st.integers(0, 9).map("j{}".format), st.just(30.0), st.just(4000.0)), max_size=40)


@given(
    steps,
    st.sampled_from(["", "state:failed", "-owner:a", "older:1h", "newer:1h -state:queued", "took:1h", "a"]),
    st.sampled_from(sorted(SORTS)),
    st.booleans(),
)
def test_a_selection_that_is_kept_up_equals_one_made_anew(
    taken: list[Packed | str | float], text: str, column: str, descending: bool
) -> None:
    rows, now, query, sort = Rows(100), NOW, parse(text), Sort(column, descending)
    kept = Selection(rows, Matcher(query, {}), sort)
    for step in taken:
        if isinstance(step, float):
            now += step
        elif isinstance(step, str):
            rows.put((), [step])
        else:
            rows.put([step])
        kept.catch_up(now)
        anew = Selection(rows, Matcher(query, {}), sort)
        anew.catch_up(now)
        assert kept.ids(0) == anew.ids(0)
        assert kept.ids(1, 3) == anew.ids(0)[1:4]
        assert +kept.states == +anew.states
        expected = [one for one in rows.by_id.values() if Matcher(query, {})(one, now)]
        expected.sort(key=lambda one: sort.key(one, now), reverse=descending)
        assert kept.ids(0) == [one[packed.ID] for one in expected]


def test_an_order_is_read_from_an_address() -> None:
    assert Sort.read("-took") == Sort("took", descending=True)
    assert str(Sort.read("title")) == "title"
    assert Sort.read("nonsense") == NEWEST
    with pytest.raises(ValueError, match="no column to sort by"):
        Sort("nonsense")


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("st", ["state:", "stage:"]),
        ("late st", ["late state:", "late stage:"]),
        ("-own", ["-owner:"]),
        ("owner:", ["owner:ana", "owner:ben"]),
        ("owner:B", ["owner:ben"]),
        ("state:fail", ["state:failed"]),
        ("-state:r", ["-state:running", "-state:retrying", "-state:partial"]),
        ('collection:"let', ["collection:letters"]),
        ("older:1", ["older:10m", "older:1h", "older:1d"]),
        ("error:x", []),
        ("", []),
    ],
)
def test_suggestions_are_qualifiers_then_values(text: str, offered: list[str]) -> None:
    found = suggest(mirror_of(memory_of(ROWS)), text)
    assert found[: len(offered)] == offered if offered else found == []
