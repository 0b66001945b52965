"""What one person may submit: jobs a minute, jobs that are not final, bytes a day; counted once, by one script."""

from __future__ import annotations

import io
import threading
from typing import Any

import pytest

from tasks import submitting
from tasks.access import Person, Role
from tasks.errors import AllowanceUsed
from tasks.ledger import Ledger, activity, control, keys, monitor
from tasks.ledger.control import NewDocument, Submission
from tasks.recipe import Recipe

ANA, BEN = Person("ana", Role.OPERATOR), Person("ben", Role.OPERATOR)


def limited(ledger: Ledger, person: Person = ANA, **limits: int) -> Ledger:
    """The ledger in somebody's hands under these limits; those that are not named are off."""
    none = {"person_jobs_per_minute": 0, "person_jobs_live": 0, "person_bytes_per_day": 0}
    theirs = ledger.held_by(person)
    theirs.settings = ledger.settings.model_copy(update=none | limits)
    return theirs


def submit(ledger: Ledger, size: int = 1, **more: Any) -> str:
    documents = [NewDocument("a.txt", size, sha256="0" * 64)]
    return control.submit(ledger, collection="c", documents=documents, recipe=Recipe(), **more).job


def test_jobs_a_minute_are_counted_and_the_refusal_says_when_it_goes_on(ledger: Ledger) -> None:
    ana = limited(ledger, person_jobs_per_minute=3)
    for _ in range(3):
        submit(ana)
    with pytest.raises(AllowanceUsed, match=r"^ana has submitted 3 jobs within a minute, .* in \d+ s\.$") as refusal:
        submit(ana)
    assert 1 <= refusal.value.data["wait_s"] <= 70
    assert monitor.page(ledger)[1] == 3
    row = activity.page(ledger).rows[0]
    assert (row.by, row.action, row.subject, row.outcome, row.result) == (
        *("ana", "submit", "c", "refused"),
        str(refusal.value),
    )


def test_the_allowance_of_one_is_not_that_of_another(ledger: Ledger) -> None:
    submit(limited(ledger, person_jobs_per_minute=1))
    submit(limited(ledger, BEN, person_jobs_per_minute=1))


def test_the_programs_are_not_counted(ledger: Ledger) -> None:
    ledger.settings = ledger.settings.model_copy(update={"person_jobs_per_minute": 1})
    for _ in range(3):
        submit(ledger, owner="ana")
    assert not ledger.redis.keys(keys.allowance("*"))


def test_a_minute_later_it_goes_on(ledger: Ledger) -> None:
    ana = limited(ledger, person_jobs_per_minute=2)
    old = int(ledger.now() // 10) - 7
    ledger.redis.hset(keys.allowance("ana"), mapping={f"jobs:{old}": 2, f"jobs:{old + 1}": 1})
    submit(ana)
    with pytest.raises(AllowanceUsed):
        submit(ana)
    assert f"jobs:{old}".encode() not in ledger.redis.hgetall(keys.allowance("ana"))


def test_bytes_of_a_day_are_counted(ledger: Ledger) -> None:
    ana = limited(ledger, person_bytes_per_day=1000)
    submit(ana, 600)
    with pytest.raises(AllowanceUsed, match=r"600 B within 24 hours, and one person may submit 1 kB.* in \d+ h\."):
        submit(ana, 500)
    submit(ana, 400)


def test_what_is_more_than_all_of_it_is_to_be_submitted_in_parts(ledger: Ledger) -> None:
    with pytest.raises(AllowanceUsed, match="submit them in parts") as refusal:
        submit(limited(ledger, person_bytes_per_day=1000), 1001)
    assert refusal.value.data["wait_s"] is None


def test_jobs_that_are_not_final_are_counted_until_they_end(ledger: Ledger) -> None:
    ana = limited(ledger, person_jobs_live=2)
    jobs = [submit(ana), submit(ana)]
    with pytest.raises(AllowanceUsed, match=r"2 jobs that have not ended.* cancel some\."):
        submit(ana)
    control.cancel(ledger, jobs[1])
    submit(ana)
    with pytest.raises(AllowanceUsed):
        submit(ana)
    assert ledger.redis.zcard(keys.allowance_live("ana")) == 2


def test_a_submission_that_comes_twice_is_counted_once(ledger: Ledger) -> None:
    ana = limited(ledger, person_jobs_per_minute=1, person_bytes_per_day=1000, person_jobs_live=1)
    first = submit(ana, 1000, token="once")
    assert submit(ana, 1000, token="once") == first
    submitted = submitting.submit_files(ana, [("a.txt", io.BytesIO(b"a"))], collection="c", token="once")
    assert submitted.job == first
    with pytest.raises(AllowanceUsed):
        submit(ana, token="another")


def test_the_token_of_another_person_is_no_way_around(ledger: Ledger) -> None:
    submit(limited(ledger, BEN, person_jobs_per_minute=1), token="once")
    ana = limited(ledger, person_jobs_per_minute=1)
    submit(ana)
    with pytest.raises(AllowanceUsed):
        submit(ana, token="once")


def test_of_many_all_or_none_are_counted(ledger: Ledger) -> None:
    ana = limited(ledger, person_jobs_per_minute=3)
    documents = [NewDocument("a.txt", 1, sha256="0" * 64)]
    some = [Submission(name, documents, "ana", Recipe()) for name in ("c", "d")]
    control.submit_many(ana, some)
    with pytest.raises(AllowanceUsed):
        control.submit_many(ana, some)
    assert monitor.page(ledger)[1] == 2
    assert [row.subject for row in activity.page(ledger).rows if row.outcome == "refused"] == ["d", "c"]
    submit(ana)


def test_nothing_is_saved_for_somebody_who_may_submit_no_more(ledger: Ledger) -> None:
    ana = limited(ledger, person_jobs_per_minute=1)
    submit(ana)
    with pytest.raises(AllowanceUsed):
        submitting.submit_files(ana, [("a.txt", io.BytesIO(b"a"))], collection="c")
    assert not (ledger.settings.data / "uploads").exists()


def test_two_at_once_do_not_share_the_last_of_it(ledger: Ledger) -> None:
    ana = limited(ledger, person_jobs_per_minute=5, person_jobs_live=5)
    refused: list[AllowanceUsed] = []
    begin = threading.Barrier(8)

    def work() -> None:
        begin.wait(10)
        try:
            submit(ana)
        except AllowanceUsed as error:
            refused.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (monitor.page(ledger)[1], len(refused)) == (5, 3)


@pytest.mark.parametrize("damage", ["type", "values"])
def test_what_is_damaged_locks_nobody_out(ledger: Ledger, damage: str) -> None:
    if damage == "type":
        ledger.redis.set(keys.allowance("ana"), "x")
        ledger.redis.set(keys.allowance_live("ana"), "x")
    else:
        for field, value in (
            ("jobs:9999999999999", "50"),
            ("jobs:1", "nan"),
            ("bytes:x", "1"),
            ("", ""),
            ("live:3", "4"),
        ):
            ledger.redis.hset(keys.allowance("ana"), field, value)
        ledger.redis.zadd(keys.allowance_live("ana"), {f"gone{at}": at for at in range(50)})
    ana = limited(ledger, person_jobs_per_minute=2, person_jobs_live=2, person_bytes_per_day=1000)
    submit(ana)
    submit(ana)
    with pytest.raises(AllowanceUsed):
        submit(ana)
    assert len(ledger.redis.hgetall(keys.allowance("ana"))) == 2


def test_without_limits_nothing_is_counted(ledger: Ledger) -> None:
    submit(limited(ledger))
    assert not ledger.redis.keys(keys.allowance("*"))
