"""The command line on a real Redis: what it prints, what it refuses in a sentence, and its exit codes."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import redis

from tasks import settings as settings_of
from tasks.access import PROGRAM
from tasks.cli import main, show
from tasks.ledger import Ledger, State, connect, fleet, keys, monitor, store
from tests.factories import claimed, finish_documents, run_to_publish, submitted
from tests.waiting import wait_until


@dataclass
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Ask = Callable[..., Said]


@pytest.fixture
def environment(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    client.close()
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("INGESTBOARD_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("INGESTBOARD_OWNER", "ana")
    settings_of.current.cache_clear()
    yield
    settings_of.current.cache_clear()


@pytest.fixture
def ask(environment: None, capsys: pytest.CaptureFixture[str]) -> Ask:
    def asked(*arguments: str | Path) -> Said:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return asked


@pytest.fixture
def ledger(environment: None) -> Iterator[Ledger]:
    connected = connect(settings_of.current(), PROGRAM)
    yield connected
    connected.close()


def sentence(said: Said) -> str:
    """The one sentence of a refusal, and nothing on stdout."""
    assert said.code == 1
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.endswith(".\n")
    return said.err.strip()


# --- submit -------------------------------------------------------------------------------------------


def test_files_and_folders_become_one_job_with_their_relative_names(ask: Ask, tmp_path: Path) -> None:
    folder = tmp_path / "papers"
    for name in ("a.txt", "deep/er/b.txt", ".hidden.txt", ".git/c.txt"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "secret.txt").write_text("elsewhere")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "linked").symlink_to(tmp_path)
    (tmp_path / "single.txt").write_text("single")

    said = ask("submit", folder, tmp_path / "single.txt", "--collection", "contracts", "--title", "Spring", "--json")

    assert said.code == 0
    job = said.json
    assert (job["state"], job["title"], job["owner"], job["documents_total"]) == ("queued", "Spring", "ana", 3)
    assert job["sentence"] == f"Job {job['id']} was submitted: 3 documents for contracts."
    files = ask("job", job["id"], "--json").json["files"]
    assert [one["name"] for one in files] == ["a.txt", "deep/er/b.txt", "single.txt"]
    uploads = sorted(path.read_text() for path in (tmp_path / "data" / "uploads").iterdir())
    assert uploads == ["a.txt", "deep/er/b.txt", "single"]


def test_a_submission_answers_with_a_sentence_that_names_the_job(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    said = ask("submit", tmp_path / "a.txt", "-c", "contracts", "--priority", "high")
    job = ask("jobs", "--json").json[0]
    assert said.out == f"Job {job['id']} was submitted: 1 document for contracts.\n"
    assert job["priority"] == "high"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["missing.txt", "-c", "contracts"], "there is no file or folder"),
        (["empty", "-c", "contracts"], "no documents were given"),
        (["a.txt", "-c", "../contracts"], "cannot name a collection"),
        (["a.txt", "-c", "contracts", "--priority", "urgent"], "'urgent' is no priority"),
    ],
)
def test_what_cannot_be_submitted_is_refused_whole(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "empty").mkdir()
    assert reason in sentence(ask("submit", *arguments))
    assert ask("jobs", "--json").json == []


def test_a_file_that_cannot_be_read_is_named(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("a")

    real = Path.open

    def refuse(self: Path, mode: str = "r", **others: Any) -> Any:
        if mode == "rb":
            raise PermissionError(13, "Permission denied")
        return real(self, mode, **others)

    monkeypatch.setattr(Path, "open", refuse)
    told = sentence(ask("submit", tmp_path / "a.txt", "-c", "contracts"))
    assert told.endswith("a.txt cannot be read (Permission denied); nothing was submitted.")


def test_a_path_that_the_system_refuses_is_told_in_a_sentence(ask: Ask) -> None:
    assert "cannot be read (File name too long)" in sentence(ask("submit", "x" * 300, "-c", "contracts"))


@pytest.mark.parametrize(
    ("failing", "code", "told"),
    [
        ((), 0, "is completed: 2 of 2 documents, 6 chunks, snapshot 000001 of contracts."),
        ((1,), 3, "is partial: 1 of 2 documents, 3 chunks, snapshot 000001 of contracts."),
        ((0, 1), 1, "failed: "),
    ],
)
def test_waiting_ends_with_the_code_of_the_outcome(
    ask: Ask, ledger: Ledger, tmp_path: Path, failing: tuple[int, ...], code: int, told: str
) -> None:
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text(name)

    def work() -> None:
        job_id = wait_until(lambda: [row.id for row in monitor.page(ledger)[0]], what="the job")[0]
        publish = run_to_publish(ledger, job_id, failing=failing)
        if publish is not None:
            store.close(ledger, job_id, publish.attempt, snapshot="000001")

    worker = threading.Thread(target=work)
    worker.start()
    said = ask("submit", tmp_path / "a.txt", tmp_path / "b.txt", "-c", "contracts", "--wait")
    worker.join()

    assert said.code == code
    assert told in said.out + said.err
    assert said.err.count("It is damaged.") == len(failing)


def test_waiting_for_a_job_that_is_canceled_ends_with_4(ask: Ask, ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")

    def cancel() -> None:
        from tasks.ledger import control

        job_id = wait_until(lambda: [row.id for row in monitor.page(ledger)[0]], what="the job")[0]
        control.cancel(ledger, job_id, by="bo")

    person = threading.Thread(target=cancel)
    person.start()
    said = ask("submit", tmp_path / "a.txt", "-c", "contracts", "--wait", "--json")
    person.join()
    assert said.code == 4
    assert said.json["state"] == "canceled"
    assert "was canceled" in said.err


def test_ctrl_c_while_waiting_leaves_the_job_and_says_so(ask: Ask, ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    command = [sys.executable, "-m", "tasks.cli", "submit", str(tmp_path / "a.txt"), "-c", "contracts", "--wait"]
    waiting = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    assert waiting.stdout is not None
    job_id = waiting.stdout.readline().split()[1]
    waiting.send_signal(2)
    _, err = waiting.communicate(timeout=20)
    assert waiting.returncode == 130
    assert err == f"Job {job_id} goes on; `ingestboard job {job_id}` shows it.\n"
    assert monitor.job(ledger, job_id).state is State.QUEUED


# --- jobs ---------------------------------------------------------------------------------------------


def test_the_list_is_filtered_by_state_collection_owner_and_text(ask: Ask, ledger: Ledger) -> None:
    first = submitted(ledger, collection="contracts", owner="ana", title="Spring")
    second = submitted(ledger, collection="letters", owner="bo", title="Autumn")
    ask("cancel", second)

    def ids(*arguments: str) -> list[str]:
        return [row["id"] for row in ask("jobs", "--json", *arguments).json]

    assert ids() == [second, first]
    assert ids("--state", "queued") == [first]
    assert ids("--state", "queued", "--state", "canceled") == [second, first]
    assert ids("--collection", "letters") == [second]
    assert ids("--owner", "ana") == [first]
    assert ids("--text", "autumn") == [second]
    assert ids("--limit", "1") == [second]


def test_a_job_in_json_has_the_stable_fields_with_iso_times(ask: Ask, ledger: Ledger) -> None:
    job_id = submitted(ledger, 2)
    finish_documents(ledger, claimed(ledger, job_id, "0"), failing=[0])
    told = ask("job", job_id, "--json").json
    named = (
        "id state collection owner title kind stage current_step total_steps step_description percent "
        "documents_total documents_done documents_failed documents_cached chunks attempt worker created_at started_at "
        "last_updated ended_at error snapshot files events stages"
    )
    assert set(named.split()) <= set(told)
    assert datetime.fromisoformat(told["created_at"]).tzinfo is not None
    assert told["ended_at"] is None
    assert told["recipe"]["splitter"] == "characters"
    assert {"name", "state", "error", "chunks", "cached"} <= set(told["files"][0])
    assert (told["files"][0]["state"], told["files"][0]["error"]) == ("failed", "It is damaged.")
    assert told["events"][0]["text"].startswith("Submitted by ana")


def test_a_job_for_people_shows_documents_reasons_and_events(ask: Ask, ledger: Ledger) -> None:
    job_id = submitted(ledger, 2)
    finish_documents(ledger, claimed(ledger, job_id, "0"), failing=[0])
    told = ask("job", job_id).out
    assert "paper-0.txt  failed" in told
    assert "It is damaged." in told
    assert "Submitted by ana" in told


def test_names_from_outside_cannot_drive_the_terminal(ask: Ask, ledger: Ledger) -> None:
    submitted(ledger, title="\x1b[2Jgone\u202e")
    told = ask("jobs").out
    assert "\x1b" not in told
    assert "\u202e" not in told
    assert "gone" in told


def test_an_empty_board_says_what_to_do(ask: Ask) -> None:
    assert ask("jobs").out == "There are no such jobs; `ingestboard submit PATH --collection NAME` makes one.\n"
    assert ask("collections").out.startswith("There are no collections yet;")
    assert ask("workers").out == "No worker is alive; `ingestboard worker` starts some.\n"


def test_an_embedded_redis_that_does_not_serve_is_not_said_to_be_missing(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REDIS_URL")
    settings_of.current.cache_clear()
    assert ask("jobs").err.startswith("Nothing runs on ")
    path = Path(settings_of.current().redis_address().removeprefix("unix://"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        threading.Thread(target=answer_loading, args=(listening,), daemon=True).start()
        said = ask("jobs")
        listening.shutdown(socket.SHUT_RDWR)
    assert said.code == 1
    assert "does not answer (it is still loading its data)" in said.err


def answer_loading(listening: socket.socket) -> None:
    """A server that has just started on a large log."""
    with contextlib.suppress(OSError):
        while True:
            with listening.accept()[0] as one:
                while one.recv(65_536):
                    one.sendall(b"-LOADING Redis is loading the dataset in memory\r\n" * 4)


def test_a_queued_job_is_canceled_at_once_and_retried_on_the_record(ask: Ask, ledger: Ledger) -> None:
    job_id = submitted(ledger)
    told = ask("cancel", job_id, "--wait")
    assert told.code == 0
    assert told.out.startswith(f"Job {job_id} was canceled")
    assert "is canceled; only a job that is" in sentence(ask("cancel", job_id))
    told = ask("retry", job_id, "--json")
    assert (told.json["state"], told.json["attempt"]) == ("queued", 2)


def test_a_running_job_is_asked_to_stop(ask: Ask, ledger: Ledger) -> None:
    job_id = submitted(ledger)
    claimed(ledger, job_id)
    assert ask("cancel", job_id, "--json").json["state"] == "canceling"
    forced = ask("cancel", job_id, "--force", "--json").json
    assert forced["stop"]["forced"] is True
    assert forced["stop"]["asked_by"] == "ana"


def test_a_stop_that_was_waited_for_is_confirmed(ask: Ask, ledger: Ledger) -> None:
    job_id = submitted(ledger, 2)
    told = ask("cancel", job_id, "--wait")
    assert told.out.splitlines() == [
        f"Job {job_id} was canceled before it started, 0.0 s after it was asked.",
        "Nothing was published and no document was finished; the submitted files are kept.",
        "A retry finds 0 documents ready and has 2 to do; how long that takes is not known yet.",
    ]
    other = submitted(ledger)
    receipt = ask("cancel", other, "--wait", "--json").json["receipt"]
    assert (receipt["how"], receipt["state"]) == ("before it started", "canceled")
    assert receipt["stopped_at"] == receipt["asked_at"]


def test_several_jobs_are_asked_in_one_command(ask: Ask, ledger: Ledger) -> None:
    first, second = submitted(ledger), submitted(ledger)
    told = ask("cancel", first, second, "nothing")
    assert told.code == 1
    assert len(told.out.splitlines()) == 2
    assert told.err == "There is no job nothing; it may have been deleted or its time on the board has passed.\n"
    told = ask("retry", first, second, "--json")
    assert told.code == 0
    assert [one["job"] for one in told.json["done"]] == [first, second]
    assert ask("priority", first, second, "high").code == 0
    assert {monitor.job(ledger, job_id).priority for job_id in (first, second)} == {"high"}
    assert ask("cancel", first, second, "--wait").code == 0
    assert ask("delete", first, second).code == 0
    assert ask("jobs", "--json").json == []


def test_one_document_is_retried_by_its_number(ask: Ask, ledger: Ledger) -> None:
    job_id = submitted(ledger, 3)
    claim = run_to_publish(ledger, job_id, failing=[1, 2])
    assert claim is not None
    store.close(ledger, job_id, claim.attempt, snapshot="000001")
    files = ask("job", job_id, "--json").json["files"]
    assert [(one["number"], one["state"]) for one in files] == [(1, "completed"), (2, "failed"), (3, "failed")]
    assert ask("retry", job_id, "--document", "3").code == 0
    assert [one["state"] for one in ask("job", job_id, "--json").json["files"]] == ["completed", "failed", "queued"]
    assert ask("retry", job_id, job_id, "--document", "3").code == 2


def test_a_priority_that_there_is_not_is_wrong_usage(ask: Ask, ledger: Ledger) -> None:
    job_id = submitted(ledger)
    assert ask("priority", job_id, "urgent").code == 2
    assert ask("priority", "high").code == 2
    assert ask("priority", job_id, "low").out.startswith(f"Job {job_id} has priority low now")


def test_time_limits_are_submitted_and_shown(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Words.")
    job = ask("submit", tmp_path / "a.txt", "-c", "c", "--time-limit", "600", "--document-limit", "30", "--json").json
    assert (job["time_limit_s"], job["document_limit_s"]) == (600.0, 30.0)
    out = ask("job", job["id"]).out
    assert "10 min" in out
    assert "at most 30 s" in out


def test_queues_workers_and_hosts_are_steered(ask: Ask, ledger: Ledger) -> None:
    now = ledger.now()
    ledger.redis.zadd(keys.WORKERS, {"w1": now})
    ledger.redis.zadd(keys.POOLS, {"here-1": now})
    ledger.redis.hset(keys.pool("here-1"), mapping={"host": "here", "size": 1})
    assert ask("pause", "low", "--why", "The disk is full.").out.startswith("The queue low is paused")
    assert ask("drain", "w1").code == 0
    said = ask("workers").out
    assert "drained" in said
    assert "The queue low was paused by ana" in said
    assert "The disk is full." in said
    assert ask("resume", "low").code == ask("undrain", "w1").code == 0
    assert ask("scale", "here", "3").code == 0
    assert ask("scale", "here", "3", "--low", "1", "--high", "4").out.startswith("The pool on here goes to 3 workers")
    assert ask("write-off", "w1").out.startswith("Worker w1 is written off")
    assert "written off" in ask("workers").out
    assert "the queue low is not paused" in sentence(ask("resume", "low"))


@pytest.mark.parametrize("command", ["job", "cancel", "retry", "delete"])
def test_a_job_that_is_not_there_is_told_in_a_sentence(ask: Ask, command: str) -> None:
    assert sentence(ask(command, "7f3")).startswith("There is no job 7f3;")


# --- collections --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["snapshots", "contracts"], "The collection contracts has no published snapshot;"),
        (["rollback", "contracts", "000001"], "contracts"),
        (["search", "contracts", "notice period"], "The collection contracts has no published snapshot;"),
    ],
)
def test_a_collection_that_is_not_there_is_told_in_a_sentence(ask: Ask, arguments: list[str], told: str) -> None:
    assert told in sentence(ask(*arguments))


# --- errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["jbos"], "No such command 'jbos'. Did you mean 'jobs'? See `ingestboard --help`."),
        (["submit", "x"], "Missing option '--collection' / '-c'. See `ingestboard submit --help`."),
        (["jobs", "--state", "done"], "'done' is no state; use queued,"),
        (["jobs", "--limit", "0"], "Invalid value for '--limit'"),
        (["worker", "-n", "none"], "Invalid value for '-n'"),
    ],
)
def test_wrong_usage_is_one_line_and_ends_with_2(ask: Ask, arguments: list[str], told: str) -> None:
    said = ask(*arguments)
    assert said.code == 2
    assert told in said.err
    assert said.err.count("\n") == 1


def test_without_a_server_the_sentence_says_how_to_start_one(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_URL")
    settings_of.current.cache_clear()
    assert "start it with `ingestboard up`" in sentence(ask("jobs"))


def test_a_wrong_redis_url_is_told_without_its_password(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://app:hunter2@127.0.0.1:1/0")
    settings_of.current.cache_clear()
    told = sentence(ask("jobs"))
    assert "redis://app:***@127.0.0.1:1/0 does not answer" in told
    assert "hunter2" not in told


def test_a_setting_that_cannot_be_used_is_named(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "http")
    settings_of.current.cache_clear()
    assert "The setting PORT cannot be used" in sentence(ask("jobs"))


def test_what_nobody_foresaw_is_a_sentence_and_the_traceback_is_in_the_log(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*arguments: object, **others: object) -> None:
        raise ZeroDivisionError("deep inside")

    monkeypatch.setattr(fleet, "workers", break_down)
    log = tmp_path / "data" / "logs" / "cli.log"
    assert sentence(ask("workers")) == f"Something went wrong (ZeroDivisionError); the details are in {log}."
    assert "deep inside" in log.read_text()


def test_a_redis_that_goes_away_meanwhile_is_a_sentence(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def go_away(*arguments: object, **others: object) -> None:
        raise redis.ConnectionError("Connection reset by peer")

    monkeypatch.setattr(fleet, "workers", go_away)
    assert sentence(ask("workers")) == "Redis stopped answering; check that it runs, then ask again."


def test_a_reader_that_leaves_early_sees_no_complaint(ask: Ask, ledger: Ledger) -> None:
    for _ in range(3):
        submitted(ledger)
    command = f"{sys.executable} -m tasks.cli jobs | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_the_owner_is_the_account_when_no_setting_names_one(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INGESTBOARD_OWNER")
    settings_of.current.cache_clear()
    (tmp_path / "a.txt").write_text("a")
    assert ask("submit", tmp_path / "a.txt", "-c", "c", "--json").json["owner"] == pwd.getpwuid(os.getuid()).pw_name


# --- the rest -----------------------------------------------------------------------------------------


def test_help_is_there_for_every_command_and_imports_nothing_heavy() -> None:
    heavy = ["redis", "rq", "pydantic", "lancedb", "llama_index", "streamlit"]
    code = f"from tasks.cli import main; main(['--help']); import sys; print([n for n in {heavy} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("[]")
    programs = ["up", "worker", "dashboard", "workers", "doctor"]
    for command in [
        *programs,
        "submit",
        "jobs",
        "job",
        "cancel",
        "retry",
        "collections",
        "snapshots",
        "rollback",
        "search",
    ]:
        assert f" {command} " in done.stdout


def test_doctor_fails_without_workers_and_says_what_to_do(ask: Ask) -> None:
    said = ask("doctor", "--json")
    found = {one["check"]: one for one in said.json}
    assert said.code == 1
    assert found["workers"] == {
        "check": "workers",
        "verdict": "fails",
        "found": "None is alive; `ingestboard worker` starts some.",
    }
    assert found["redis"]["verdict"] == "works"
    assert found["redis persistence"]["verdict"] == "warns"
    assert found["embedder"]["verdict"] == "works"


def test_doctor_finds_the_queue_that_nobody_takes_from(ask: Ask, ledger: Ledger) -> None:
    submitted(ledger, priority="low")
    assert "queue low          fails  1 wait and no worker takes from it." in ask("doctor").out


def test_doctor_says_what_would_be_repaired_and_repairs_nothing(ask: Ask, ledger: Ledger) -> None:
    job_id = submitted(ledger)
    ledger.redis.hset(keys.COUNTS, "queued", 5)
    ledger.redis.hset(keys.job(job_id), "running_shards", 2)
    said = ask("doctor").out
    assert "5 jobs are counted as queued and 1 are. The janitor would repair it." in said
    assert f"Job {job_id} counts 2 shards at work, and 0 are. The janitor would repair it." in said
    assert ledger.redis.hget(keys.COUNTS, "queued") == b"5"
    assert ledger.redis.hget(keys.job(job_id), "running_shards") == b"2"


def test_doctor_goes_on_without_redis(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    settings_of.current.cache_clear()
    found = {one["check"]: one["verdict"] for one in ask("doctor", "--json").json}
    assert (found["redis"], found["embedder"]) == ("fails", "works")


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(None, ""), (0.04, "0.0 s"), (12, "12 s"), (119, "119 s"), (150, "2.5 min"), (9000, "2.5 h"), (345_600, "4 d")],
)
def test_durations_read_in_one_unit(seconds: float | None, told: str) -> None:
    assert show.lasting(seconds) == told


@pytest.mark.parametrize(("count", "told"), [(0, "0 B"), (999, "999 B"), (11_900, "11.9 kB"), (2.5e12, "2.5 TB")])
def test_sizes_read_in_one_unit(count: float, told: str) -> None:
    assert show.size(count) == told


def test_wide_characters_keep_the_columns_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    show.table(("NAME", "N"), [("契約", 1), ("ab", 2)], empty="")
    assert capsys.readouterr().out == "NAME  N\n契約  1\nab    2\n"
