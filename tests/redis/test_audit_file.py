"""The record on disk, on both kinds of server: nothing is lost or doubled, and whatever is changed in it shows."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import fakeredis
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tasks import settings as settings_of
from tasks.access import PROGRAM
from tasks.ledger import Action, Ledger, activity, chain, control, keys, origin
from tasks.ledger.activity import Wanted
from tasks.ledger.chain import Copier, copying, files
from tasks.ledger.chain.files import Disk
from tasks.ledger.records import text
from tests.factories import submitted

GONE = "Line {}, to which the files had come, was gone or another one when this was written."
SMALL = 1_500  # bytes of a file in these tests: four rows or so


def noted(ledger: Ledger, count: int, *, by: str = "ana") -> None:
    for at in range(count):
        control.record(ledger, "cancel", f"job-{at}", by=by, result=f"Row {at} was canceled.")


def rows_on_disk(ledger: Ledger) -> list[dict[str, str]]:
    return [one["row"] for one in chain.oldest_first(ledger.settings) if "row" in one]


def rows_of_the_stream(ledger: Ledger) -> list[dict[str, str]]:
    found: list[Any] = ledger.redis.xrange(keys.AUDIT) or []
    return [copying.cleaned(fields) for _, fields in found]


def paths(ledger: Ledger) -> list[Path]:
    return files.paths(chain.folder(ledger.settings))


def faults(ledger: Ledger) -> list[str]:
    return [str(fault) for fault in chain.verify(ledger.settings, ledger).faults]


# --- what is written ----------------------------------------------------------------------------------


def test_a_row_says_who_from_where_what_on_what_and_how_it_ended(ledger: Ledger) -> None:
    with origin.acting_from("cli ana@host7"):
        job = submitted(ledger)
        control.cancel(ledger, job, by="bo")
        refused = control.act(ledger, Action.CANCEL, [job], by="bo").refused
    assert len(refused) == 1
    Copier(ledger).turn()
    first, second, third = rows_on_disk(ledger)
    assert (first["by"], first["action"], first["origin"], first["outcome"]) == (
        "ana",
        "submit",
        "cli ana@host7",
        "allowed",
    )
    assert (second["by"], second["subject"], second["outcome"]) == ("bo", job, "allowed")
    assert (third["outcome"], third["result"]) == ("refused", refused[0].reason)
    assert [row["number"] for row in (first, second, third)] == ["1", "2", "3"]
    assert [row.outcome for row in activity.page(ledger, Wanted(outcome="refused")).rows] == ["refused"]


def test_what_is_nearer_says_from_where(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origin, "_of_process", "worker h")
    assert origin.current() == "worker h"
    monkeypatch.setattr(origin, "_asked", lambda: "page 10.0.0.7")
    assert origin.current() == "page 10.0.0.7"
    with origin.acting_from("api 10.0.0.8"):
        assert origin.current() == "api 10.0.0.8"
    monkeypatch.setattr(origin, "_asked", lambda: "")
    assert origin.current() == "worker h"


def test_all_rows_are_copied_once_over_files_that_follow_each_other(ledger: Ledger) -> None:
    copier = Copier(ledger, file_bytes=SMALL)
    for _ in range(6):
        noted(ledger, 3)
        assert copier.turn() == 3
    assert copier.turn() == 0
    assert rows_on_disk(ledger) == rows_of_the_stream(ledger)
    assert len(paths(ledger)) > 2
    report = chain.verify(ledger.settings, ledger)
    assert (report.faults, report.notes, report.rows, report.compared) == ((), (), 18, 18)
    last = json.loads(paths(ledger)[-1].read_text().splitlines()[-1])
    assert last["hash"] == report.last


def test_files_are_appended_to_and_never_rewritten(ledger: Ledger) -> None:
    copier = Copier(ledger, file_bytes=SMALL)
    before: dict[Path, bytes] = {}
    for _ in range(5):
        noted(ledger, 2)
        copier.turn()
        now = {path: path.read_bytes() for path in paths(ledger)}
        assert all(now[path].startswith(was) for path, was in before.items())
        before = now


def test_a_turn_is_bounded(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    noted(ledger, 7)
    monkeypatch.setattr(copying, "ROWS", 3)
    copier = Copier(ledger)
    assert [copier.turn() for _ in range(4)] == [3, 3, 1, 0]


def test_another_janitor_goes_on_where_the_last_one_was(ledger: Ledger) -> None:
    noted(ledger, 3)
    first, second = Copier(ledger, file_bytes=SMALL), Copier(ledger, file_bytes=SMALL)
    first.turn()
    noted(ledger, 3)
    second.turn()
    noted(ledger, 3)
    assert first.turn() == 0  # it sees that the file is not as it left it
    assert first.turn() == 3
    assert rows_on_disk(ledger) == rows_of_the_stream(ledger)
    assert faults(ledger) == []


def test_rows_that_the_stream_lost_before_they_were_copied_are_a_gap(ledger: Ledger) -> None:
    noted(ledger, 2)
    copier = Copier(ledger)
    copier.turn()
    noted(ledger, 5)
    ledger.redis.xtrim(keys.AUDIT, maxlen=2, approximate=False)
    copier.turn()
    assert [one["gap"] for one in chain.oldest_first(ledger.settings) if "gap" in one] == [{"lost": 3}]
    report = chain.verify(ledger.settings, ledger)
    assert report.faults == ()
    (note,) = report.notes
    assert note == "audit-000000000001.jsonl, line 3: 3 rows were gone from Redis before they could be copied."


def test_a_redis_that_was_emptied_counts_anew_and_the_files_say_so(ledger: Ledger) -> None:
    noted(ledger, 3)
    copier = Copier(ledger)
    copier.turn()
    ledger.redis.flushall()
    noted(ledger, 2)
    copier.turn()
    assert [one["gap"] for one in chain.oldest_first(ledger.settings) if "gap" in one] == [{"lost": None}]
    assert len(rows_on_disk(ledger)) == 5
    assert faults(ledger) == []


def test_rows_of_before_they_were_numbered_are_copied_too(ledger: Ledger) -> None:
    old: dict[Any, Any] = {"by": "ana", "action": "cancel", "subject": "x", "result": "Old."}
    ledger.redis.xadd(keys.AUDIT, old)
    noted(ledger, 2)
    Copier(ledger).turn()
    assert [row["result"] for row in rows_on_disk(ledger)] == ["Old.", "Row 0 was canceled.", "Row 1 was canceled."]
    assert faults(ledger) == []


def test_what_no_program_of_ours_wrote_is_copied_bounded(ledger: Ledger) -> None:
    forged: dict[Any, Any] = {f"field {at}": b"\xff\x00" * 20_000 for at in range(50)}
    ledger.redis.xadd(keys.AUDIT, {**forged, "number": "1e300"})
    ledger.redis.xadd(keys.AUDIT, {"number": "nan", "by": "\n\u2028"})
    noted(ledger, 1)
    Copier(ledger).turn()
    assert len(rows_on_disk(ledger)) == 3
    assert sum(path.stat().st_size for path in paths(ledger)) < 3_000_000
    assert faults(ledger) == []


def test_another_kind_of_value_under_its_keys_stops_nothing(ledger: Ledger) -> None:
    ledger.redis.set(keys.AUDIT_HEAD, "x")
    ledger.redis.set(keys.AUDIT_NUMBER, "x")
    noted(ledger, 2)
    assert Copier(ledger).turn() == 2
    assert faults(ledger) == []
    ledger.redis.delete(keys.AUDIT)
    ledger.redis.set(keys.AUDIT, "x")
    assert Copier(ledger).turn() == 0
    assert files.trouble(ledger) == "Redis holds something else under its key"


# --- a disk that refuses ------------------------------------------------------------------------------


class FullDisk(Disk):
    """Takes so many bytes more and then no other."""

    room = 0

    def write(self, handle: int, body: bytes) -> None:
        os.write(handle, body[: self.room])
        written, self.room = min(self.room, len(body)), max(0, self.room - len(body))
        if written < len(body):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_told_and_the_copy_goes_on_when_there_is_space(
    ledger: Ledger, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "PAUSE_S", 0.0)
    disk = FullDisk()
    copier = Copier(ledger, disk=disk)
    noted(ledger, 2)
    for room in (0, 100, 700, 150):
        disk.room = room
        assert copier.turn() == 0
    assert [record.message for record in caplog.records if "cannot be copied" in record.message] == [
        f"The record cannot be copied to {chain.folder(ledger.settings)} (No space left on device); Redis keeps the "
        "newest 100,000 rows, and it goes on when that is over."
    ]
    assert chain.standing(ledger).trouble == "No space left on device"
    disk.room = 1_000_000
    while copier.turn():
        pass
    assert rows_on_disk(ledger) == rows_of_the_stream(ledger)
    report = chain.verify(ledger.settings, ledger)
    assert report.faults == ()
    assert any("do not count" in note for note in report.notes)
    assert chain.standing(ledger).trouble == ""


def test_a_folder_that_cannot_be_made_is_told(ledger: Ledger) -> None:
    ledger.settings.data.mkdir(parents=True)
    chain.folder(ledger.settings).write_text("in the way")
    noted(ledger, 1)
    assert Copier(ledger).turn() == 0
    assert files.trouble(ledger) == "File exists"


# --- crashes ------------------------------------------------------------------------------------------


class Crash(BaseException):
    """The process dies here."""


class DyingDisk(Disk):
    """Dies at a step that is told; `kept` is the share of what was written and not yet forced that stays on disk."""

    def __init__(self, at: int, kept: float, zeros: bool) -> None:
        self.left, self.kept, self.zeros = at, kept, zeros

    def step(self) -> bool:
        self.left -= 1
        return self.left < 0

    def open(self, path: Path, *, new: bool) -> int:
        if self.step():
            raise Crash
        handle = super().open(path, new=new)
        if self.step():
            os.close(handle)
            raise Crash
        return handle

    def write(self, handle: int, body: bytes) -> None:
        if self.step():
            part = body[: int(len(body) * self.kept)]
            lost = len(part) // 2 if self.zeros else 0
            super().write(handle, b"\0" * lost + part[lost:])
            raise Crash
        super().write(handle, body)
        if self.step():
            raise Crash

    def sync(self, handle: int) -> None:
        super().sync(handle)
        if self.step():
            raise Crash

    def sync_folder(self, where: Path) -> None:
        super().sync_folder(where)
        if self.step():
            raise Crash


def fresh(folder: Path) -> Ledger:
    data = folder / f"data-{len(list(folder.iterdir()))}"
    data.mkdir()
    using = settings_of.read(data=data, redis_url="redis://x")
    return Ledger(fakeredis.FakeRedis(server=fakeredis.FakeServer()), using, PROGRAM)


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    deaths=st.lists(
        st.tuples(st.integers(0, 14), st.floats(0, 1), st.booleans(), st.integers(1, 4)), min_size=1, max_size=6
    )
)
def test_a_crash_at_any_step_loses_and_doubles_no_row(
    tmp_path: Path, deaths: list[tuple[int, float, bool, int]]
) -> None:
    ledger = fresh(tmp_path)
    for step, kept, zeros, rows in deaths:
        copier = Copier(ledger, file_bytes=SMALL, disk=DyingDisk(step, kept, zeros))
        try:
            for _ in range(4):
                noted(ledger, rows)
                copier.turn()
        except Crash:
            pass
    copier = Copier(ledger, file_bytes=SMALL)
    while copier.turn():
        pass
    assert rows_on_disk(ledger) == rows_of_the_stream(ledger)
    assert faults(ledger) == []


def test_a_crash_before_redis_heard_of_it_loses_and_doubles_no_row(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*arguments: object) -> None:
        raise Crash

    noted(ledger, 3)
    with monkeypatch.context() as dying:
        dying.setattr(files, "set_head", die)
        with pytest.raises(Crash):
            Copier(ledger).turn()
    noted(ledger, 2)
    Copier(ledger).turn()
    assert rows_on_disk(ledger) == rows_of_the_stream(ledger)
    assert faults(ledger) == []


# --- what was changed ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def record_of_many_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ledger, dict[str, bytes]]:
    ledger = fresh(tmp_path_factory.mktemp("record"))
    copier = Copier(ledger, file_bytes=SMALL)
    for _ in range(2):
        noted(ledger, 3)
        copier.turn()
    noted(ledger, 1)
    with pytest.raises(Crash):
        Copier(ledger, file_bytes=SMALL, disk=DyingDisk(2, 0.6, False)).turn()
    copier = Copier(ledger, file_bytes=SMALL)
    for _ in range(3):
        noted(ledger, 3)
        copier.turn()
    report = chain.verify(ledger.settings, ledger)
    assert (report.faults, len(report.notes)) == ((), 1)
    return ledger, {path.name: path.read_bytes() for path in paths(ledger)}


Lines = dict[str, list[bytes]]


def changed(data: st.DataObject, whole: Lines) -> Lines:
    """One thing that somebody may do to the files."""
    name = data.draw(st.sampled_from(sorted(whole)))
    lines = list(whole[name])
    at = data.draw(st.integers(0, len(lines) - 1))
    what = data.draw(
        st.sampled_from(
            ["byte", "field", "remove", "swap", "double", "truncate", "add", "no file", "end", "rename", "blank"]
        )
    )
    if what == "byte":
        place = data.draw(st.integers(0, len(lines[at]) - 1))
        other = bytes([lines[at][place] ^ data.draw(st.integers(1, 255))])
        lines[at] = lines[at][:place] + other + lines[at][place + 1 :]
    elif what == "field":
        lines[at] = lines[at].replace(b'"by":"ana"', b'"by":"bob"')
    elif what == "remove":
        del lines[at]
    elif what == "swap":
        with_ = data.draw(st.integers(0, len(lines) - 1))
        lines[at], lines[with_] = lines[with_], lines[at]
    elif what == "double":
        lines.insert(at, lines[at])
    elif what == "truncate":
        body = b"".join(lines)
        lines = [body[: data.draw(st.integers(0, len(body) - 1))]]
    elif what == "add":
        lines.insert(at, data.draw(st.binary(min_size=1, max_size=20)) + b"\n")
    elif what == "blank":
        lines.append(data.draw(st.sampled_from([b"\n", b" ", b"\0", b"{}\n"])))
    elif what == "end":
        lines = lines[:at]
    if what == "no file":
        return {other: held for other, held in whole.items() if other != name}
    if what == "rename":
        return {("audit-000000000099.jsonl" if other == name else other): held for other, held in whole.items()}
    return {**whole, name: lines}


@hypothesis_settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_whatever_is_changed_in_the_files_shows(
    record_of_many_files: tuple[Ledger, dict[str, bytes]], data: st.DataObject
) -> None:
    ledger, held = record_of_many_files
    whole = {name: body.splitlines(keepends=True) for name, body in held.items()}
    after = {name: b"".join(lines) for name, lines in changed(data, whole).items()}
    where = chain.folder(ledger.settings)
    for path in paths(ledger):
        path.unlink()
    for name, body in after.items():
        (where / name).write_bytes(body)
    found = faults(ledger)
    assert bool(found) is (after != held), found
    assert all("audit-" in one for one in found if "Redis holds is not" not in one)


def test_a_change_is_named_with_its_file_and_line(ledger: Ledger) -> None:
    noted(ledger, 4)
    Copier(ledger).turn()
    (path,) = paths(ledger)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], lines[1].replace(b"ana", b"bob"), *lines[2:]]))
    assert faults(ledger)[0] == f"{path.name}, line 2: This line was changed, or is no line of the record."
    path.write_bytes(b"".join([lines[0], *lines[2:]]))
    assert faults(ledger)[0] == f"{path.name}, line 2: Line 2 of the record is missing before this one."
    path.write_bytes(b"".join(lines[:2]))
    assert faults(ledger)[0] == f"{path.name}, line 2: 2 lines are missing after this one: Redis knows of line 4."
    path.unlink()
    assert faults(ledger)[0].endswith("4 lines are missing after this one: Redis knows of line 4.")


def test_an_end_that_was_cut_off_shows_also_after_the_copy_went_on(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    noted(ledger, 4)
    Copier(ledger).turn()
    (path,) = paths(ledger)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    noted(ledger, 1)
    Copier(ledger).turn()
    assert "are not as they were left" in caplog.text
    assert faults(ledger) == [f"{path.name}, line 3: {GONE.format(4)}"]
    assert rows_on_disk(ledger) == rows_of_the_stream(ledger)


def test_rows_added_with_the_right_hashes_show_beside_redis(ledger: Ledger) -> None:
    noted(ledger, 2)
    Copier(ledger).turn()
    (path,) = paths(ledger)
    last = chain.lines.read(path.read_bytes().splitlines(keepends=True)[-1])
    assert last is not None
    millis = int(last.id.partition("-")[0])
    body = {"by": "mallory", "number": str(last.number + 1)}
    _, forged = chain.lines.write(last.n + 1, last.hash, f"{millis + 1}-0", last.number + 1, "row", body)
    with path.open("ab") as out:
        out.write(forged)
    assert any("Redis should hold this row and does not" in one for one in faults(ledger))


def test_an_end_that_was_replaced_shows_also_after_the_copy_went_on(ledger: Ledger) -> None:
    noted(ledger, 3)
    Copier(ledger).turn()
    (path,) = paths(ledger)
    lines = path.read_bytes().splitlines(keepends=True)
    second, third = chain.lines.read(lines[1]), chain.lines.read(lines[2])
    assert second is not None
    assert third is not None
    _, forged = chain.lines.write(3, second.hash, third.id, 3, "row", {**third.body, "by": "eva"})
    path.write_bytes(lines[0] + lines[1] + forged)
    ledger.redis.xtrim(keys.AUDIT, maxlen=0, approximate=False)  # nothing to compare with
    assert faults(ledger) == [f"{path.name}, line 3: Redis knows another line by this number."]
    noted(ledger, 1)
    Copier(ledger).turn()
    assert faults(ledger) == [f"{path.name}, line 4: {GONE.format(3)}"]


def test_what_a_crash_left_unfinished_stays_where_it_is(ledger: Ledger) -> None:
    noted(ledger, 2)
    with pytest.raises(Crash):
        Copier(ledger, disk=DyingDisk(2, 0.5, False)).turn()
    Copier(ledger).turn()
    (path,) = paths(ledger)
    lines = path.read_bytes().splitlines(keepends=True)
    assert faults(ledger) == []
    (at,) = [at for at, line in enumerate(lines) if chain.lines.read(line) is None]
    path.write_bytes(b"".join([*lines[:at], *lines[at + 1 :]]))
    said = "The unfinished bytes that this line tells of are not before it any more."
    assert f"{path.name}, line {at + 1}: {said}" in faults(ledger)


def test_a_row_that_was_changed_in_redis_shows(ledger: Ledger) -> None:
    noted(ledger, 3)
    Copier(ledger).turn()
    found: list[Any] = ledger.redis.xrange(keys.AUDIT) or []
    ledger.redis.xdel(keys.AUDIT, found[1][0])
    assert len(faults(ledger)) == 1
    ledger.redis.delete(keys.AUDIT)
    for row_id, fields in found:
        row = {**fields, b"by": b"mallory"} if row_id == found[1][0] else fields
        ledger.redis.xadd(keys.AUDIT, row, id=text(row_id))
    (fault,) = faults(ledger)
    assert "line 2: This row is not as Redis holds it: cancel on job-1" in fault


def test_without_redis_the_chain_alone_is_looked_at(ledger: Ledger) -> None:
    noted(ledger, 3)
    Copier(ledger).turn()
    report = chain.verify(ledger.settings, None)
    assert (report.rows, report.faults, report.compared) == (3, (), None)


# --- reading ------------------------------------------------------------------------------------------


def test_rows_that_left_the_stream_are_found_in_the_files(ledger: Ledger) -> None:
    copier = Copier(ledger, file_bytes=SMALL)
    for by in ("ana", "bo", "ana"):
        noted(ledger, 4, by=by)
        copier.turn()
    noted(ledger, 1, by="bo")  # not copied yet
    ledger.redis.xtrim(keys.AUDIT, maxlen=3, approximate=False)
    found = chain.newest_first(ledger.settings, ledger, Wanted(), limit=100)
    assert (len(found.rows), found.all_of_it) == (13, True)
    assert [row.id for row in found.rows] == sorted((row.id for row in found.rows), reverse=True, key=_order)
    of_bo = chain.newest_first(ledger.settings, ledger, Wanted(by="bo"), limit=3)
    assert ([row.by for row in of_bo.rows], of_bo.all_of_it) == (["bo"] * 3, False)
    assert len(chain.newest_first(ledger.settings, None, Wanted(), limit=100).rows) == 12


def _order(row_id: str) -> tuple[int, ...]:
    return tuple(map(int, row_id.split("-")))
