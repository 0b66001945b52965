"""In a real Chromium: a queue of another program is found, its failed job opened, requeued, and one deleted."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import redis
from playwright.sync_api import Page, expect
from rq import Queue, SimpleWorker

from tests.programs import Up
from tests.redis.foreign_functions import add, fail
from tests.waiting import wait_until


@pytest.fixture
def letters(product: Up) -> Iterator[Queue]:
    """The queue of another program on the same Redis: one job failed, one waits."""
    client = redis.Redis(unix_socket_path=str(product.data / "redis" / "redis.sock"))
    queue = Queue("letters", connection=client)
    queue.enqueue(fail, "no paper", description="Print <b>letter 17</b>")
    SimpleWorker([queue], connection=client).work(burst=True, logging_level="CRITICAL")
    queue.enqueue(add, 1, 2, description="Print letter 18")
    yield queue
    client.close()


def test_a_foreign_queue_is_listed_and_its_jobs_requeued_and_deleted(page: Page, letters: Queue) -> None:
    page.goto("/queues")
    row = page.locator(".ib-queues tr", has_text="letters")
    expect(row).to_contain_text("another program")
    row.get_by_role("link", name="1 failed in letters").click()
    expect(page).to_have_url(re.compile("registry=failed"))
    page.get_by_role("link", name="Print <b>letter 17</b>").click()
    expect(page.get_by_text("RuntimeError: It cannot be done: no paper").first).to_be_visible()
    page.get_by_role("button", name="Requeue").click()
    expect(page.get_by_text("waits in letters")).to_be_visible()
    wait_until(lambda: len(letters.job_ids) == 2, what="the requeued job")

    page.get_by_role("link", name="Queue letters").click()
    expect(page.get_by_role("heading", name="letters")).to_be_visible()
    page.get_by_role("link", name="Print letter 18").click()
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete the job").click()
    expect(page.get_by_role("link", name="Print <b>letter 17</b>")).to_be_visible()
    expect(page.get_by_role("link", name="Print letter 18")).to_have_count(0)
    wait_until(lambda: len(letters.job_ids) == 1, what="the deletion")


def test_the_counts_of_a_foreign_queue_follow_by_themselves(page: Page, letters: Queue) -> None:
    page.goto("/queues?queue=letters")
    expect(page.get_by_role("link", name=re.compile(r"^Queued"))).to_contain_text(str(len(letters.job_ids)))
    letters.enqueue(add, 3, 4, description="Print letter 19")
    expect(page.get_by_role("link", name="Print letter 19")).to_be_visible(timeout=15_000)
    expect(page.get_by_role("link", name=re.compile(r"^Queued"))).to_contain_text(str(len(letters.job_ids)))
