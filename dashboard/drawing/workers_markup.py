"""The Workers page as HTML: the line of figures, the hosts with their pools, and the processes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote

from dashboard import format, markup
from dashboard.format import Tone
from dashboard.markup import Column, Figure, safe
from tasks.ledger.fleet import ALIVE_S, UNTOLD
from tasks.ledger.records import PoolRow, WorkerRow


class Standing(StrEnum):
    """How a worker stands, the most urgent first."""

    SILENT = "not responding"
    WRITTEN_OFF = "written off"
    BUSY = "busy"
    DRAINING = "draining"
    DRAINED = "drained"
    IDLE = "idle"


TONES: dict[Standing, Tone] = {
    Standing.SILENT: "bad",
    Standing.WRITTEN_OFF: "warn",
    Standing.BUSY: "move",
    Standing.DRAINING: "warn",
    Standing.DRAINED: "quiet",
    Standing.IDLE: "good",
}

PROCESSES = (
    Column("State", "ib-state"),
    Column("Worker", "ib-title"),
    Column("Works on", "ib-wide ib-works"),
    Column("Documents a minute", "ib-num"),
    Column("Done", "ib-num"),
    Column("Failed", "ib-num"),
    Column("CPU", "ib-num"),
    Column("Memory", "ib-num"),
    Column("Heartbeat", "ib-num"),
)
HOSTS = (
    Column("Host", "ib-title"),
    Column("Workers", "ib-num"),
    Column("Busy", "ib-wide ib-busy"),
    Column("Wanted", "ib-num"),
    Column("Documents a minute", "ib-num"),
    Column("CPU", "ib-num"),
    Column("Memory", "ib-num"),
    Column("Heartbeat", "ib-num"),
)
LATE_S = 10.0  # an idle worker reports every 5 s


@dataclass(frozen=True, slots=True)
class Host:
    """One machine: its workers and its pools."""

    name: str
    workers: tuple[WorkerRow, ...]
    pools: tuple[PoolRow, ...]

    @property
    def alive(self) -> int:
        return sum(1 for row in self.workers if standing(row) is not Standing.SILENT)

    @property
    def busy(self) -> int:
        return sum(1 for row in self.workers if standing(row) in (Standing.BUSY, Standing.DRAINING))


def standing(row: WorkerRow) -> Standing:
    if row.written_off:
        return Standing.WRITTEN_OFF
    if row.heartbeat_age_s > ALIVE_S:
        return Standing.SILENT
    if row.drained:
        return Standing.DRAINING if row.job else Standing.DRAINED
    return Standing.BUSY if row.job else Standing.IDLE


def hosts_of(workers: Sequence[WorkerRow], pools: Sequence[PoolRow]) -> list[Host]:
    """The machines, by name; one with a pool and no worker yet is there too."""
    names = sorted({row.host for row in workers} | {row.host for row in pools if row.alive})
    return [
        Host(
            name,
            tuple(row for row in workers if row.host == name),
            tuple(row for row in pools if row.host == name and row.alive),
        )
        for name in names
    ]


def figures(workers: Sequence[WorkerRow], hosts: int) -> str:
    counts = dict.fromkeys(Standing, 0)
    for row in workers:
        counts[standing(row)] += 1
    alive = len(workers) - counts[Standing.SILENT] - counts[Standing.WRITTEN_OFF]
    speed = sum(row.documents_a_minute for row in workers)
    return markup.figures(
        (
            Figure(
                "worker alive" if alive == 1 else "workers alive",
                format.number(alive),
                "" if alive else "bad",
                hint="Reported in the last 20 seconds",
            ),
            Figure("host" if hosts == 1 else "hosts", format.number(hosts)),
            Figure("busy", format.number(counts[Standing.BUSY]), "move" if counts[Standing.BUSY] else ""),
            Figure("idle", format.number(counts[Standing.IDLE])),
            Figure("drained", format.number(counts[Standing.DRAINED] + counts[Standing.DRAINING])),
            Figure("not responding", format.number(counts[Standing.SILENT]), "bad" if counts[Standing.SILENT] else ""),
            Figure("documents a minute", rate(speed), hint="Over the last minute, all workers together"),
            Figure("memory", format.size(sum(row.rss_bytes for row in workers)), hint="Of all workers together"),
        )
    )


def hosts(found: Iterable[Host]) -> str:
    return markup.table(HOSTS, (_host(one) for one in found), kind="ib-hosts")


def _host(host: Host) -> tuple[str, ...]:
    pools = ", ".join(f"pool {pool.name}" for pool in host.pools) or "no pool that can be scaled"
    name = f'<a href="{host_link(host.name)}" target="_self"><b>{safe(host.name or "unknown host")}</b></a>'
    beats = [*(row.heartbeat_age_s for row in host.workers), *(pool.heartbeat_age_s for pool in host.pools)]
    return (
        f'{name}<span class="ib-soft ib-note" title="{safe(pools)}">{safe(pools)}</span>',
        format.number(host.alive),
        _share(host.busy, len(host.workers)),
        _wanted(host.pools),
        rate(sum(row.documents_a_minute for row in host.workers)),
        cpu(sum(row.cpu_percent for row in host.workers)),
        format.size(sum(row.rss_bytes for row in host.workers)),
        format.coarse(min(beats, default=None)),
    )


def host_link(name: str) -> str:
    """The address of the processes of one host."""
    return f"workers?host={quote(name, safe='')}"


def _wanted(pools: Sequence[PoolRow]) -> str:
    if not pools:
        return format.NOTHING
    bounds = [f"{pool.low} to {pool.high}" for pool in pools if pool.low < pool.high]
    wanted = format.number(sum(pool.wanted for pool in pools))
    return f'{wanted}<span class="ib-soft ib-note">{safe(", ".join(bounds))}</span>' if bounds else wanted


def _share(busy: int, total: int) -> str:
    width = 100 * busy / total if total else 0.0
    return (
        '<span class="ib-progress"><span class="ib-bar ib-move" role="meter" aria-label="Busy workers" '
        f'aria-valuemin="0" aria-valuemax="{total}" aria-valuenow="{busy}"><i style="width:{width:.0f}%"></i></span>'
        f'<b class="ib-num">{busy} of {total}</b></span>'
    )


def processes(rows: Iterable[WorkerRow], titles: dict[str, str]) -> str:
    """The table of processes; `titles` names the jobs that are known."""
    return markup.table(PROCESSES, (_process(row, titles) for row in rows), kind="ib-workers")


def _process(row: WorkerRow, titles: dict[str, str]) -> tuple[str, ...]:
    state = standing(row)
    late = row.heartbeat_age_s > LATE_S
    where = f"{row.host or 'unknown host'} · process {row.pid}" if row.pid else row.host
    failed = format.number(row.failed)
    return (
        f'<span class="ib-badge ib-{TONES[state]}">{safe(state.value.capitalize())}</span>',
        f'<span class="ib-name" title="{safe(row.name)}">{safe(row.name)}</span>'
        f'<span class="ib-soft ib-note">{safe(where)}</span>',
        _work(row, titles),
        rate(row.documents_a_minute) if row.documents_a_minute else format.NOTHING,
        format.number(row.done),
        f'<span class="ib-bad ib-toned">{failed}</span>' if row.failed else failed,
        cpu(row.cpu_percent),
        format.size(row.rss_bytes) if row.rss_bytes else format.NOTHING,
        f'<span class="{"ib-bad ib-toned" if late else ""}">{safe(format.coarse(row.heartbeat_age_s))}</span>',
    )


def _work(row: WorkerRow, titles: dict[str, str]) -> str:
    if not row.job:
        return format.NOTHING
    if row.job == UNTOLD:
        return '<span class="ib-soft">a job of others</span>'
    title = titles.get(row.job) or f"job {row.job}"
    doing = " · ".join(part for part in (row.stage, row.document) if part)
    return (
        f'<a href="{markup.job_link(row.job)}" target="_self" title="{safe(title)}">{safe(title)}</a>'
        f'<span class="ib-soft ib-note" title="{safe(doing)}">{safe(doing)}</span>'
    )


def rate(a_minute: float) -> str:
    """Documents a minute: whole from ten on."""
    return f"{a_minute:,.0f}" if a_minute >= 9.95 or a_minute == 0 else f"{a_minute:.1f}"


def cpu(percent: float) -> str:
    return f"{percent:,.0f} %"
