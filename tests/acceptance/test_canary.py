"""Secrets and sentences of documents are planted; the whole product works on them; nothing but their homes has them.

Homes of a document's text are uploads, artifacts, collections, exports, and the answer of a search or a preview. A
secret has none: it stays in the environment of the programs. All programs log at DEBUG, and Redis keeps every write in
its append-only file, so that what was there for a moment is found as well.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest
import redis
from playwright.sync_api import Browser, FilePayload, WebSocket, expect
from rq import Queue, SimpleWorker

from dashboard.api.doors import DOORS
from tasks import settings as settings_of
from tasks.access import PROGRAM, Person, Role
from tasks.ledger import Ledger, control, fleet, monitor, saved, tokens
from tasks.ledger.states import State
from tasks.recipe import Recipe
from tasks.submitting import submit_files
from tests.acceptance.redis_servers import Server, free_port
from tests.browser.watched import Watched
from tests.redis.foreign_functions import add
from tests.waiting import wait_until

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).parents[2]
SECRETS = {"Redis": "canaryredis5d1f", "embedder": "sk-canaryembedder8e21", "argument": "canaryargument77b0"}
# A word of each document that is nowhere else.
WORDS = {
    name: f"canary{name}{at}c3"
    for at, name in enumerate(
        ("good", "limited", "refused", "died", "slow", "damaged", "word", "mail", "latin", "lost")
    )
}
HOMES = ("uploads", "artifacts", "collections", "exports")


def sentence(name: str, more: str = "") -> str:
    return f"The violet heron {WORDS[name]} keeps nine lanterns by the weir. {more}\n"


def broken_word() -> bytes:
    """A Word file whose text is there and whose end is not."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", f"<w:document>{sentence('word')}")
    return out.getvalue()


def mail() -> bytes:
    """A message whose subject is its text too, with a damaged file attached."""
    head = "From: ana@example.com\nSubject: Lanterns\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n"
    body = f"--x\nContent-Type: text/plain\n\n{sentence('mail')}\n"
    file = "--x\nContent-Type: application/pdf\nContent-Disposition: attachment; filename=a.pdf\n\n%PDF-1.7\n--x--\n"
    return (head + body + file).encode()


# What becomes of each: its bytes, and the state that its job ends in.
DOCUMENTS: dict[str, tuple[bytes, State]] = {
    "good.md": (b"# Lanterns\n\n" + sentence("good").encode(), State.COMPLETED),
    "limited.txt": (sentence("limited", "LIMITED").encode(), State.COMPLETED),
    "refused.txt": (sentence("refused", "REFUSE").encode(), State.FAILED),
    "died.txt": (sentence("died", "DIE").encode(), State.FAILED),
    "damaged.pdf": (b"%PDF-1.7\n" + sentence("damaged").encode(), State.FAILED),
    "word.docx": (broken_word(), State.FAILED),
    "mail.eml": (mail(), State.FAILED),
    "latin.txt": (sentence("latin", "\u00dcberflu\u00df, na\u00efve fa\u00e7ade.").encode("cp1252"), State.COMPLETED),
    # It takes seconds to read, and the test kills its reader meanwhile.
    "lost.html": (b"<p>" + sentence("lost").encode() + b"<p>x" * 3_000_000, State.FAILED),
}


class Found:
    """What was found where: the outputs that were searched, and the needles in them that have no business there."""

    def __init__(self) -> None:
        self.leaks: set[str] = set()
        self.searched: dict[str, int] = {}
        self.made: list[str] = []  # secrets that were made on the way

    def look(self, where: str, text: bytes | str) -> None:
        data = text.encode("utf-8", "replace") if isinstance(text, str) else text
        kind = where.partition(" ")[0]
        self.searched[kind] = self.searched.get(kind, 0) + len(data)
        for needle in (*SECRETS.values(), *WORDS.values(), *self.made):
            if needle.encode() in data:
                self.leaks.add(f"{needle} in {where}")


class Product:
    """The programs, each with its log, on a Redis with a password."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.server = Server(folder / "redis", "--requirepass", SECRETS["Redis"])
        self.port = free_port()
        url = f"redis://:{SECRETS['Redis']}@127.0.0.1:{self.server.port}/0"
        self.environment = {
            **os.environ,
            "REDIS_URL": url,
            "PORT": str(self.port),
            "TMPDIR": str(self.temporary),
            "INGESTBOARD_DATA": str(self.data),
            "INGESTBOARD_EMBEDDER": "tests.quoting_embedder.QuotingEmbedding",
            "INGESTBOARD_EMBEDDER_ARGS": json.dumps({"api_key": SECRETS["embedder"], "seen": str(folder / "seen.txt")}),
            "INGESTBOARD_LOG_LEVEL": "DEBUG",
            "INGESTBOARD_CANCEL_GRACE_S": "1",
            "INGESTBOARD_LEASE_S": "3",
            "INGESTBOARD_SHARD_TRIES": "1",
        }
        settings = settings_of.read(
            data=self.data,
            redis_url=url,
            embedder=self.environment["INGESTBOARD_EMBEDDER"],
            embedder_args=self.environment["INGESTBOARD_EMBEDDER_ARGS"],
        )
        self.ledger = Ledger(redis.Redis.from_url(url), settings, PROGRAM)
        self.programs = [self.start("-m", "workers", "-n", "2"), self.start("-m", "dashboard")]
        wait_until(lambda: len(fleet.worker_names(self.ledger)) == 2, timeout_s=60, what="the workers")
        wait_until(lambda: bool(self.fetch("/healthz")), timeout_s=30, what="the dashboard")

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{arguments[1]}.log").open("wb") as log:
            command = [sys.executable, *arguments]
            return subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def fetch(self, path: str, token: str = "") -> bytes:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            asked = urllib.request.Request(self.address + path, headers=headers)
            with urllib.request.urlopen(asked, timeout=10) as answer:
                body: bytes = answer.read()
                return body
        except OSError:
            return b""

    def commands(self, *lines: tuple[str, ...]) -> list[dict[str, Any]]:
        """What those commands said."""
        done = subprocess.run(
            [sys.executable, "-m", "tests.acceptance.every_command"],
            cwd=ROOT,
            env=self.environment,
            input=json.dumps(lines),
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        answers: list[dict[str, Any]] = json.loads(done.stdout)
        return [*answers, {"command": ["stderr"], "code": 0, "out": "", "err": done.stderr}]

    def submit(self, name: str, content: bytes) -> str:
        recipe = Recipe(chunk_size=200, chunk_overlap=0)
        file = (name, BytesIO(content))
        return submit_files(self.ledger, [file], collection="lanterns", owner="ana", recipe=recipe).job

    def ended(self, job: str) -> State:
        wait_until(lambda: monitor.job(self.ledger, job).final, timeout_s=60, what=f"the end of {job}")
        return monitor.job(self.ledger, job).state

    def embedded(self) -> int:
        """How many calls the embedder took so far."""
        return len((self.folder / "seen.txt").read_text().splitlines())

    def family(self) -> Iterable[psutil.Process]:
        for program in self.programs:
            yield from [psutil.Process(program.pid), *psutil.Process(program.pid).children(recursive=True)]

    def reader(self) -> psutil.Process | None:
        """The process that reads a document: below a work horse, which is below a worker, which is below the pool."""
        with suppress(psutil.NoSuchProcess):
            for worker in psutil.Process(self.programs[0].pid).children():
                for horse in worker.children():
                    for reader in horse.children():
                        return reader
        return None

    def end(self) -> None:
        for program in self.programs:
            program.terminate()
        for program in self.programs:
            program.wait(30)
        self.ledger.close()
        self.server.end()


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    found = Product(tmp_path_factory.mktemp("canary"))
    yield found
    found.end()


def values(client: Any) -> Iterator[tuple[str, bytes]]:
    """Every key with all that it holds; a foreign RQ job's own data apart, which is that program's."""
    readers: dict[bytes, Callable[[bytes], Any]] = {
        b"string": client.get,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        b"hash": client.hgetall,
        b"stream": client.xrange,
    }
    for key in client.scan_iter():
        yield repr(key), key + repr(readers[client.type(key)](key)).encode()


def foreign_job(product: Product) -> str:
    """A failed job of another program, with a secret among its arguments; its id."""
    queue = Queue("letters", connection=product.ledger.redis)
    job = queue.enqueue(add, 1, SECRETS["argument"], description="Letter 17")
    SimpleWorker([queue], connection=product.ledger.redis).work(burst=True, logging_level="CRITICAL")
    return str(job.id)


def crash_its_readers(product: Product, job: str) -> None:
    """A reader that crashes is tried once more, so each one is hit as soon as it is there."""

    def ended() -> bool:
        reader = product.reader()
        if reader is not None:
            with suppress(psutil.NoSuchProcess):
                reader.send_signal(signal.SIGSEGV)
        return monitor.job(product.ledger, job).final

    wait_until(ended, timeout_s=60, what="the end of a document whose reader crashes")


def in_hand(product: Product, found: Found, jobs: dict[str, str]) -> None:
    """A job that takes its time: looked at, canceled, retried, stopped by force."""
    slow, before = sentence("slow", "SLEEP 20").encode(), product.embedded()
    jobs["slow"] = job = product.submit("slow.txt", slow)
    wait_until(lambda: product.embedded() > before, timeout_s=30, what="the embedder")
    for process in product.family():
        with suppress(psutil.NoSuchProcess):
            found.look("process", " ".join([process.name(), *process.cmdline()]))
    control.cancel(product.ledger, job, by="ana")
    assert product.ended(job) is State.CANCELED
    before = product.embedded()
    control.retry(product.ledger, job, by="ana")
    wait_until(lambda: product.embedded() > before, timeout_s=30, what="the embedder")
    control.cancel(product.ledger, job, by="ana", force=True)
    assert product.ended(job) is State.CANCELED


def every_command(product: Product, found: Found, jobs: dict[str, str]) -> None:
    good, failed, host = jobs["good.md"], jobs["refused.txt"], fleet.pools(product.ledger)[0].host
    worker = fleet.worker_names(product.ledger)[0]
    (product.data / "exports").mkdir(exist_ok=True)
    of = "lanterns"
    both: list[tuple[str, ...]] = [
        *(("job", job) for job in jobs.values()),
        ("jobs",),
        ("jobs", "--text", "lanterns"),
        ("why", good),
        ("cancel", good),
        ("retry", "no-such-job"),
        ("priority", good, "high"),
        ("collections",),
        ("snapshots", of),
        ("diff", of, "000001", "000002"),
        ("gates", of),
        ("held", of),
        ("workers",),
        ("activity",),
        ("audit",),
        ("whoami",),
        ("token", "list"),
        ("doctor",),
        ("prune", of, "--dry-run"),
    ]
    once: list[tuple[str, ...]] = [
        ("submit", str(ROOT / "no-such-file"), "--collection", of),
        ("retry", failed),
        ("bulk", "retry", failed, "--wait"),
        ("rollback", of, "000001"),
        ("rebuild", of, "--chunk-size", "150", "--overlap", "0"),
        ("export", of, str(product.data / "exports" / "out.jsonl")),
        ("clean",),
        ("pause", "low"),
        ("resume", "low"),
        ("drain", worker),
        ("undrain", worker),
        ("scale", host, "2"),
        ("write-off", worker),
        ("delete", jobs["word.docx"]),
    ]
    answers = product.commands(*both, *((*line, "--json") for line in both), *once, ("search", of, "violet heron"))
    for answer in answers:
        assert "Traceback" not in answer["err"], answer
        if answer["command"][0] == "search":
            assert WORDS["good"] in answer["out"], "the search itself is a home of the text"
        else:
            found.look(f"command {' '.join(answer['command'])}", answer["out"] + answer["err"])


def every_door(product: Product, found: Found, jobs: dict[str, str], letter: str) -> None:
    """What a program reads over HTTP; the token that it does so with is a secret, too."""
    token, _ = tokens.make(product.ledger.held_by(Person("ana", Role.ADMIN)), "ci", role=Role.ADMIN, days=1)
    found.made.append(token[17:])
    looks = [door.path for door in DOORS if door.method == "GET" and not door.parameters]
    lists = [path for path in looks if path != "/foreign-jobs"]
    there = [job for name, job in jobs.items() if name != "word.docx"]  # which a command has deleted
    ones = [*(f"/jobs/{job}" for job in there), f"/foreign-jobs/{letter}", "/collections/lanterns/snapshots"]
    queues = ["/foreign-jobs?queue=letters&registry=failed", "/jobs?q=lanterns", "/activity?limit=1000"]
    for path in (*lists, *ones, *queues):
        answer = product.fetch(f"/api/v1{path}", token)
        assert answer, path
        found.look(f"door {path}", answer)
    found.look("metrics", product.fetch("/metrics"))


def every_page(product: Product, found: Found, jobs: dict[str, str], letter: str, browser: Browser) -> None:
    watched = Watched(browser, product.address)
    frames: list[bytes] = []

    def listen(socket: WebSocket) -> None:
        for direction in ("framesent", "framereceived"):
            socket.on(direction, lambda data: frames.append(data.encode() if isinstance(data, str) else data))

    watched.page.on("websocket", listen)
    causes = watched.open("/?view=failures").locator(".ib-causes td.ib-title > a").all()
    paths = [
        *("/", "/?view=failures", "/documents", "/workers", "/queues", "/history", "/activity", "/collections"),
        *(f"/collections?name=lanterns&view={quote(view)}" for view in ("Compare", "Held back", "Upkeep")),
        *("/queues?queue=default&registry=failed", "/queues?queue=letters&registry=failed"),
        f"/queues?queue=letters&registry=failed&rq={letter}",
        *(f"/job?job={job}" for job in jobs.values()),
        *(f"/{cause.get_attribute('href')}" for cause in causes),
        *("/?q=canary", f"/?q={quote('error:lanterns')}", "/job?job=no-such-job"),
    ]
    for path in paths:
        page = watched.open(path)
        found.look(f"page {path}", page.content())
    # A person's own upload that fails while they look on.
    page = watched.open("/documents")
    page.locator("input[type=file]").first.set_input_files(
        FilePayload(name="damaged.pdf", mimeType="application/pdf", buffer=DOCUMENTS["damaged.pdf"][0])
    )
    # The upload's own run draws the form again; what is typed before that is lost on a busy machine.
    expect(page.get_by_text("1 document,")).to_be_visible()
    field = page.get_by_role("combobox", name="Collection")
    field.fill("lanterns")
    field.press("Enter")
    page.get_by_role("button", name="Submit", exact=False).click()
    page.get_by_role("link", name="Watch the job").click()
    expect(page.locator(".ib").get_by_text("Failed", exact=True).first).to_be_visible(timeout=30_000)
    found.look("page of a failed upload", page.content())
    watched.done()
    assert frames
    found.look("frames", b"".join(frames))


def files(folder: Path, *, but: Iterable[Path] = ()) -> Iterator[tuple[Path, bytes]]:
    """Every file below a folder, without those below some."""
    left_out = tuple(but)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(path.is_relative_to(home) for home in left_out):
            yield path, path.read_bytes()


def test_nothing_but_their_homes_has_what_was_planted(product: Product, chromium: Browser) -> None:
    found = Found()
    jobs: dict[str, str] = {}
    for name, (content, state) in DOCUMENTS.items():
        jobs[name] = product.submit(name, content)
        if name == "lost.html":
            crash_its_readers(product, jobs[name])
        assert product.ended(jobs[name]) is state, (name, monitor.documents(product.ledger, jobs[name]))
    assert "crash (SIGSEGV)" in monitor.documents(product.ledger, jobs["lost.html"])[0].error
    letter = foreign_job(product)
    in_hand(product, found, jobs)
    saved.save(product.ledger, "Lanterns", query="lanterns", by="ana")
    every_page(product, found, jobs, letter, chromium)
    every_command(product, found, jobs)
    every_door(product, found, jobs, letter)
    for path in ("/healthz", "/_stcore/metrics", "/_stcore/health", "/_stcore/host-config", "/exports/nothing"):
        found.look(f"route {path}", product.fetch(path))
    for key, held in values(product.ledger.redis):
        found.look(f"redis {key}", held)
    client: Any = product.ledger.redis
    for command in (("CLIENT", "LIST"), ("SLOWLOG", "GET", "1000"), ("ACL", "LOG"), ("INFO", "everything")):
        found.look(f"redis {' '.join(command)}", repr(client.execute_command(*command)))
    product.end()

    # The log of each program, DATA but the homes, temporary files, and every write that Redis ever took.
    homes = [product.data / home for home in HOMES]
    for file, content in files(product.folder, but=homes):
        found.look(f"{'log' if file.suffix == '.log' else 'file'} {file.relative_to(product.folder)}", content)
    assert found.leaks == set()

    # And it was there to be found: the homes hold it, and every kind of output was searched.
    kept = b"".join(content for home in homes if home.is_dir() for _, content in files(home))
    assert [name for name, word in WORDS.items() if word.encode() not in kept] == []
    assert set(found.searched) == {
        "process",
        "command",
        "page",
        "frames",
        "route",
        "door",
        "metrics",
        "redis",
        "log",
        "file",
    }
    assert all(found.searched.values())
