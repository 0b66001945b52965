"""The child process that answers searches: asked in parallel, started again, never waited for without end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from dashboard.search import Answers
from tasks.access import PROGRAM
from tasks.errors import SearchFailed

CHILD = """
import json, sys
print(json.dumps({"ready": True}), flush=True)
print("no json", flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    query = asked["query"]
    if query == "die": sys.exit(3)
    if query == "hang": continue
    answer = {"id": asked["id"]}
    if query == "fail": answer["error"] = "The collection c has no published snapshot; submit documents to it first."
    elif query == "odd": answer["hits"] = "?"
    else:
        hit = {"document": query, "score": .5, "text": "t", "chunk": 0, "page": None, "sha256": ""}
        answer.update(hits=[hit] * asked["k"], version="000001", took_ms=1)
    print(json.dumps(answer), flush=True)
"""


@pytest.fixture
def answers() -> Iterator[Answers]:
    made = Answers((sys.executable, "-c", CHILD), timeout_s=5)
    yield made
    made.close()


def test_questions_asked_at_once_get_their_own_answers(answers: Answers) -> None:
    queries = [f"q{at}" for at in range(20)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda query: answers.ask(PROGRAM, "c", query, k=1), queries))
    assert [answer.hits[0].document for answer in found] == queries


def test_what_the_child_refuses_is_its_sentence(answers: Answers) -> None:
    with pytest.raises(SearchFailed, match="has no published snapshot"):
        answers.ask(PROGRAM, "c", "fail")


def test_an_answer_of_an_unknown_form_is_a_sentence(answers: Answers) -> None:
    with pytest.raises(SearchFailed, match="cannot be read"):
        answers.ask(PROGRAM, "c", "odd")


def test_a_child_that_died_is_started_again(answers: Answers) -> None:
    with pytest.raises(SearchFailed, match="ended"):
        answers.ask(PROGRAM, "c", "die")
    assert answers.ask(PROGRAM, "c", "again", k=2).version == "000001"


def test_a_child_that_hangs_is_not_waited_for_without_end() -> None:
    answers = Answers((sys.executable, "-c", CHILD), timeout_s=0.2)
    with pytest.raises(SearchFailed, match=r"did not answer within 0\.2 seconds"):
        answers.ask(PROGRAM, "c", "hang")
    answers.close()


def test_a_program_that_cannot_be_started_is_a_sentence() -> None:
    with pytest.raises(SearchFailed, match="cannot be started"):
        Answers(("/nowhere/at-all",)).ask(PROGRAM, "c", "q")
