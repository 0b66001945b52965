"""Every setting of every program, read from the environment once and frozen.

This is the only module that reads `os.environ`. A value that cannot be used is refused here, with a
sentence that names the variable, so that no program starts half configured.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import re
import tempfile
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tasks.errors import SettingsError

DEFAULT_EMBEDDER = "wordllama"
QUEUES = ("high", "default", "low")
Priority = Literal["high", "default", "low"]


class Settings(BaseSettings):
    """The frozen settings of one process. Durations are seconds, sizes are bytes."""

    model_config = SettingsConfigDict(env_prefix="INGESTBOARD_", frozen=True, extra="ignore", env_ignore_empty=True)

    data: Path = Field(default=Path("data"), description="where uploads, artifacts and snapshots live")
    redis_url: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("REDIS_URL", "redis_url"),
        description="redis://, rediss://, unix:// or redis+sentinel:// address; empty starts the embedded server",
    )
    host: str = Field(default="127.0.0.1", description="address the dashboard listens on")
    port: int = Field(
        default=8501,
        ge=1,
        le=65535,
        validation_alias=AliasChoices("PORT", "port"),
        description="port the dashboard listens on",
    )
    auth: Literal["local", "oidc", "proxy"] = Field(
        default="local",
        validation_alias=AliasChoices("INGESTBOARD_AUTH", "AUTH", "auth"),
        description="who signs people in: local (nobody: loopback alone), oidc (an OpenID provider) or proxy "
        "(a reverse proxy in front of the board)",
    )
    roles: Path | None = Field(
        default=None, description="TOML file of who may do what, read again when it changes; `roles.toml` in DATA"
    )
    sign_in: Path | None = Field(
        default=None, description="TOML file with the [auth] section of the OpenID provider, for oidc; a secret"
    )
    groups_claim: str = Field(default="groups", description="claim of the OpenID provider that names groups")
    session_hours: float = Field(default=12.0, gt=0, le=720, description="hours after which one signs in again")
    proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="addresses or networks of the reverse proxies that are believed, by ','"
    )
    proxy_email_header: str = Field(
        default="X-Forwarded-Email",
        pattern=r"^[A-Za-z0-9-]{1,64}$",
        description="header in which such a proxy names the person",
    )
    proxy_groups_header: str = Field(
        default="X-Forwarded-Groups",
        pattern=r"^[A-Za-z0-9-]{1,64}$",
        description="header in which it names their groups, by ','",
    )
    token: SecretStr | None = Field(
        default=None, description="personal token of who uses the command line; made on the page Access"
    )
    person_jobs_per_minute: int = Field(default=120, ge=0, description="jobs one person may submit a minute; 0: any")
    person_jobs_live: int = Field(
        default=5_000, ge=0, description="jobs one person may have that are not final; 0 for no limit"
    )
    person_bytes_per_day: int = Field(
        default=100 * 1024**3, ge=0, description="bytes one person may submit in 24 hours; 0 for no limit"
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="names of the dashboard beside loopback and the address it listens on, by ','; `*.` before a "
        "domain stands for all names in it, `*` alone switches the check off",
    )
    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        le=512,
        description="size of the worker pool on this machine",
    )
    owner: str = Field(default="", description="name recorded for what is submitted from here")
    folders: Annotated[tuple[Path, ...], NoDecode] = Field(
        default=(), description="folders on the server that a person may submit from, separated by ':'"
    )
    queue_prefix: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9_-]*$",
        description="put before the queue names on a Redis shared with other RQ programs",
    )
    embedder: str = Field(
        default=DEFAULT_EMBEDDER,
        description="'wordllama', or the dotted name of a LlamaIndex embedding class",
    )
    embedder_args: SecretStr = Field(
        default=SecretStr("{}"), description="JSON object of the embedder's arguments; never logged"
    )
    embed_batch: int = Field(default=32, ge=1, le=2048, description="texts in one call of the embedder")
    embed_price: float = Field(
        default=0.0, ge=0, description="price of a million tokens of the embedder, for estimates; 0 for none"
    )
    embed_retries: int = Field(
        default=6, ge=0, le=50, description="times that a call of the embedder is tried again after a passing trouble"
    )
    embed_retry_max_s: float = Field(
        default=60.0, gt=0, le=3600, description="longest wait before the embedder is tried again"
    )
    embed_requests_per_minute: int = Field(
        default=0, ge=0, description="calls of the embedder a minute, over all workers; 0 for no limit"
    )
    embed_tokens_per_minute: int = Field(
        default=0, ge=0, description="tokens sent to the embedder a minute, over all workers; 0 for no limit"
    )
    document_deadline_s: float = Field(
        default=600.0, gt=0, description="time that reading one document may take, or 10 s a page where that is longer"
    )
    document_silence_s: float = Field(
        default=120.0, gt=0, description="time without any progress after which a document's reader is killed"
    )
    document_memory_mb: int = Field(default=2048, ge=64, description="memory in MB that reading one document may take")
    confine_readers: bool = Field(
        default=True,
        description="keep the readers of documents from files, programs and network, where the kernel can",
    )
    cancel_grace_s: float = Field(
        default=10.0, ge=0.5, description="wait for a checkpoint before the work horse is killed"
    )
    stalled_minutes: float = Field(
        default=5.0, gt=0, description="minutes without progress after which a running job is marked as stalled"
    )
    lease_s: float = Field(default=15.0, ge=3.0, description="silence after which a shard's worker counts as gone")
    redis_patience_s: float = Field(
        default=300.0, ge=0, description="time that a worker waits for a Redis in trouble before it lets its work go"
    )
    shard_tries: int = Field(default=3, ge=1, le=10, description="times a shard is tried before it fails")
    shard_timeout_s: int = Field(default=6 * 3600, ge=60, description="longest run of one shard")
    queue_ageing_s: float = Field(
        default=60.0, gt=0, description="seconds of waiting that each level of priority counts when a worker is free"
    )
    autoscale_grow_s: float = Field(
        default=5.0, gt=0, description="wait of the oldest entry after which a pool that sizes itself grows"
    )
    autoscale_idle_s: float = Field(
        default=60.0, gt=0, description="time without waiting entries after which such a pool gives a worker up"
    )
    rq_functions: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="dotted names of functions of yours that workers run as ordinary RQ jobs, by ','"
    )
    retention_days: float = Field(default=30.0, gt=0, description="days that a final job stays on the board")
    retention_jobs: int = Field(default=200_000, ge=1, description="final jobs kept at most")
    board_jobs: int = Field(
        default=200_000, ge=1_000, description="newest jobs that a dashboard keeps in memory, about 1 kB each"
    )
    upload_max_bytes: int = Field(default=256 * 1024 * 1024, ge=1024, description="largest file that is accepted")
    documents_max: int = Field(default=20_000, ge=1, description="documents that one job may hold")
    idle_minutes: float = Field(default=30.0, gt=0, description="idle minutes after which an open board stops polling")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="how much the programs log: DEBUG, INFO, WARNING or ERROR"
    )

    @field_validator("folders", mode="before")
    @classmethod
    def _split_folders(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(Path(part).expanduser().resolve() for part in value.split(":") if part.strip())
        return value

    @field_validator("allowed_hosts", "rq_functions", "proxies", mode="before")
    @classmethod
    def _split_names(cls, value: Any) -> Any:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("allowed_hosts", mode="after")
    @classmethod
    def _host_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not re.fullmatch(r"\*|(\*\.)?[A-Za-z0-9._-]*[A-Za-z0-9]", name) and not _is_ipv6(name):
                raise ValueError(f"{name} is not the name of a host; leave its scheme, port and path out")
        return value

    @field_validator("proxies", mode="after")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            try:
                ipaddress.ip_network(one)
            except ValueError:
                raise ValueError(f"{one} is no address and no network such as 10.0.0.0/24") from None
        return value

    @field_validator("rq_functions", mode="after")
    @classmethod
    def _dotted(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if "." not in name or not all(part.isidentifier() for part in name.split(".")):
                raise ValueError(f"{name} is not the dotted name of a function")
        return value

    @field_validator("data", mode="after")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().resolve()

    @field_validator("embedder_args", mode="after")
    @classmethod
    def _json_object(cls, value: SecretStr) -> SecretStr:
        try:
            parsed = json.loads(value.get_secret_value())
        except ValueError:
            # The text may hold a key: it is never part of the message.
            raise ValueError("is not valid JSON") from None
        if not isinstance(parsed, dict):
            raise ValueError("must be a JSON object")
        return value

    @property
    def roles_file(self) -> Path:
        """Where it stands who may do what; without meaning for `local`."""
        return (self.roles or self.data / "roles.toml").expanduser().resolve()

    @property
    def embedded(self) -> bool:
        """Whether this installation brings its own Redis."""
        return self.redis_url is None

    @property
    def redis_socket(self) -> Path:
        """Socket of the embedded server: in DATA, or in a private folder where that path is too long.

        sun_path holds 108 bytes (unix(7)); every program derives the same place from DATA.
        """
        socket = self.data / "redis" / "redis.sock"
        if len(os.fsencode(socket)) <= 100:
            return socket
        digest = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"ingestboard-{os.getuid()}-{digest}" / "redis.sock"

    def redis_address(self) -> str:
        """The Redis URL in use, with its password if it has one: show it through `masked` only."""
        if self.redis_url is not None:
            return self.redis_url.get_secret_value()
        return f"unix://{self.redis_socket}"

    @property
    def embedder_fingerprint(self) -> str:
        """Names the embedding model and what decides its vectors; without anything secret.

        Two programs with equal fingerprints give equal vectors for a text.
        """
        if self.embedder == DEFAULT_EMBEDDER:
            return f"wordllama-256-{version('wordllama')}"
        telling = {
            name: value
            for name, value in self.embedder_arguments().items()
            if not any(word in name.lower() for word in ("key", "token", "secret", "password", "header"))
        }
        body = json.dumps([self.embedder, telling], sort_keys=True, default=str)
        digest = hashlib.sha256(body.encode()).hexdigest()[:12]
        return f"{self.embedder.rpartition('.')[2]}-{digest}"

    def embedder_arguments(self) -> dict[str, Any]:
        """The embedder's arguments; they may hold a key, so they are shown to nobody."""
        parsed: dict[str, Any] = json.loads(self.embedder_args.get_secret_value())
        return parsed


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False


def masked(url: str) -> str:
    """A Redis URL as it may be shown: without its passwords (RFC 3986 userinfo, and those in the query)."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{url.partition('://')[0][:20]}://***"
    if "@" not in parts.netloc and "@" in parts.path + parts.fragment:
        # A password with a / or # in it, which is to be percent-encoded, ends the host too early.
        return f"{parts.scheme}://***@{url.rpartition('@')[2]}"
    # Several hosts, as a Sentinel address has them, are no host and port to urlsplit.
    userinfo, at, hosts = parts.netloc.rpartition("@")
    user, colon, _ = userinfo.partition(":")
    netloc = f"{user}:***@{hosts}" if colon else f"{userinfo}{at}{hosts}"
    query = re.sub(r"(password=)[^&]*", r"\1***", parts.query)
    if netloc == parts.netloc and query == parts.query:
        return url
    return urlunsplit(parts._replace(netloc=netloc, query=query))


def read(**overrides: Any) -> Settings:
    """Settings from the environment, with overrides for tests and command-line options.

    Raises SettingsError with the variable's name when a value cannot be used.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "a setting"
        variable = name if name.isupper() else f"INGESTBOARD_{name.upper()}"
        raise SettingsError(variable=variable, reason=first["msg"]) from None


@lru_cache(maxsize=1)
def current() -> Settings:
    """The settings of this process, read once."""
    return read()


def documented() -> list[tuple[str, str, str]]:
    """Variable, default and meaning of every setting, as the README lists them."""
    rows = []
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        variable = str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"INGESTBOARD_{name.upper()}"
        if field.default_factory is not None:
            default = "one a core"
        elif field.default in (None, "", ()):
            default = ""
        else:
            value = field.default
            plain = value.get_secret_value() if isinstance(value, SecretStr) else value
            default = f"`{plain}`"
        rows.append((variable, default, field.description or ""))
    return rows
