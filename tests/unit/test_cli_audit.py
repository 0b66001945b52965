"""`ingestboard audit` on a real Redis: what it prints, what it finds, and its exit codes."""

from __future__ import annotations

import getpass
import json
import re
import socket
from pathlib import Path

import pytest

from tasks import settings as settings_of
from tasks.ledger import Ledger, chain, control, keys
from tests.factories import submitted
from tests.unit.test_cli import Ask, ask, environment, ledger

__all__ = ["ask", "environment", "ledger"]  # the fixtures of the other commands

HERE = f"cli {getpass.getuser()}@{socket.gethostname()}"


def copied(ledger: Ledger) -> Path:
    """The only file, with all that is on the record."""
    while chain.Copier(ledger).turn():
        pass
    (path,) = chain.folder(ledger.settings).iterdir()
    return path


def test_a_command_is_on_the_record_with_where_it_was_given(ask: Ask, ledger: Ledger) -> None:
    job = submitted(ledger)
    assert ask("cancel", job).code == 0
    assert ask("cancel", job).code == 1
    refused, allowed, _ = ask("audit", "--json").json
    assert (refused["outcome"], refused["origin"], refused["by"]) == ("refused", HERE, "ana")
    assert (allowed["outcome"], allowed["subject"]) == ("allowed", job)
    assert ask("audit", "--refused", "--json").json == [refused]
    assert ask("activity", "--refused", "--json").json == [refused]
    assert ask("audit", "--origin", "cli", "--json").json == [refused, allowed]


def test_what_redis_let_go_is_found_in_the_files(ask: Ask, ledger: Ledger) -> None:
    for at in range(5):
        control.record(ledger, "scale", f"host-{at}", by="bo", result="Scaled.")
    copied(ledger)
    ledger.redis.xtrim(keys.AUDIT, maxlen=1, approximate=False)
    assert [row["subject"] for row in ask("audit", "--json").json] == [f"host-{at}" for at in (4, 3, 2, 1, 0)]
    assert "There is more; --limit shows more than 2." in ask("audit", "--limit", "2").out
    assert ask("audit", "--by", "nobody").out == "Nobody has done such a thing.\n"
    assert ask("audit", "--since", "1h", "--on", "HOST-3", "--json").json[0]["by"] == "bo"


def test_a_whole_record_verifies_and_names_its_last_hash(ask: Ask, ledger: Ledger) -> None:
    assert ask("audit", "verify").out == "Nothing was copied to files yet.\n"
    submitted(ledger)
    last = json.loads(copied(ledger).read_text().splitlines()[-1])["hash"]
    said = ask("audit", "verify")
    assert said.code == 0
    assert ask("audit", "verify", "--holds", last).code == 0
    other = ask("audit", "verify", "--holds", last, "--holds", "0" * 64)
    assert other.code == 1
    assert f"No line has the hash {'0' * 64}" in other.out
    assert said.out == f"1 line in 1 file, 1 row compared with Redis: the chain is whole. The last hash is {last}.\n"


def test_a_changed_record_is_told_by_file_and_line_and_ends_with_1(ask: Ask, ledger: Ledger) -> None:
    submitted(ledger)
    path = copied(ledger)
    path.write_text(path.read_text().replace('"by":"ana"', '"by":"eva"'))
    said = ask("audit", "verify")
    assert said.code == 1
    assert f"{path.name}, line 1: This line was changed, or is no line of the record.\n" in said.out
    assert ask("audit", "verify", "--json").json["faults"][0]["line"] == 1
    found = {one["check"]: one for one in ask("doctor", "--json").json}
    assert found["record"]["verdict"] == "fails"


def test_doctor_says_how_the_copy_is(ask: Ask, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def record() -> tuple[str, str]:
        return next((one["verdict"], one["found"]) for one in ask("doctor", "--json").json if one["check"] == "record")

    submitted(ledger)
    copied(ledger)
    assert record() == ("works", "The chain of its last file is whole: 1 row.")
    old = int((ledger.now() - 300) * 1000)
    ledger.redis.delete(keys.AUDIT)
    ledger.redis.xadd(keys.AUDIT, {"by": "bo"}, id=f"{old}-0")
    assert record()[0] == "works"  # it is older than what was copied
    chain.folder(ledger.settings).rename(chain.folder(ledger.settings).with_name("away"))
    ledger.redis.hset(keys.AUDIT_HEAD, mapping={"n": 0, "trouble": "No space left on device"})
    verdict, said = record()
    assert verdict == "fails"
    assert re.fullmatch(r"The copy in DATA/audit is 30\d s behind \(No space left on device\)\.", said)


def test_an_export_is_json_lines_from_a_time_on(ask: Ask, ledger: Ledger) -> None:
    submitted(ledger)
    submitted(ledger)
    copied(ledger)
    lines = [json.loads(line) for line in ask("audit", "export", "--since", "1h").out.splitlines()]
    assert [line["n"] for line in lines] == [1, 2]
    assert lines[1]["before"] == lines[0]["hash"]
    assert lines[0]["row"]["action"] == "submit"
    assert ask("audit", "export", "--since", "2099-01-01").out == ""
    assert ask("audit", "export", "--until", "2020-01-01T00:00+00:00").out == ""


def test_a_time_that_is_none_is_wrong_usage(ask: Ask) -> None:
    said = ask("audit", "export", "--since", "yesterday")
    assert said.code == 2
    assert "'yesterday' is no time; write 2026-11-20" in said.err
    assert said.err.count("\n") == 1


def test_the_files_are_read_while_redis_is_away(
    ask: Ask,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    submitted(ledger)
    copied(ledger)
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    settings_of.current.cache_clear()
    said = ask("audit", "--json")
    assert len(said.json) == 1
    assert said.err.endswith("This is what was copied to the files.\n")
    assert ask("audit", "verify").code == 0
