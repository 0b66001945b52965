"""The roles file: who has which role and which collections are for some alone. Read again when it changes.

    [roles]
    admin = ["ana@example.com", "group:platform"]
    operator = ["@example.com"]
    viewer = ["*"]

    [collections."hr-*"]
    see = ["group:hr", "ben@example.com"]

An entry is an e-mail address, `@domain`, `group:NAME` or `*` for whoever is signed in. Each is compared whole: a
domain is what follows the one @ of an address, no more and no less. Administrators see every collection.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from tasks.access.person import Person
from tasks.access.rights import Role
from tasks.errors import RolesUnreadable

log = logging.getLogger("ingestboard.access")

ANYBODY, GROUP = "*", "group:"
LOOK_EVERY_S = 0.5
LARGEST = 1024 * 1024
LONGEST_NAME = 60
KEPT = 4_096  # people whose role is remembered until the file changes
# RFC 5321 without quoted local parts and address literals, which no sign-in hands out.
ADDRESS = re.compile(r"[^\s@*,;<>\"()\[\]\\]{1,64}@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9-]{1,63}")
PATTERN = re.compile(r"[A-Za-z0-9_*?-]{1,64}")


def _entry(value: str) -> str:
    value = value.strip()
    if value == ANYBODY:
        return value
    if value.startswith(GROUP):
        if not value[len(GROUP) :].strip():
            raise ValueError("'group:' needs the name of a group behind it")
        return value
    lowered = value.casefold()
    if not ADDRESS.fullmatch(f"x{lowered}" if lowered.startswith("@") else lowered):
        raise ValueError(f"{value!r} is no e-mail address, no @domain, no group:NAME and not *")
    return lowered


def _pattern(value: str) -> str:
    if not PATTERN.fullmatch(value):
        raise ValueError(f"{value!r} is no name of a collection; use letters, digits, - and _, and * for any of them")
    return value


Entry = Annotated[str, AfterValidator(_entry)]
Pattern = Annotated[str, AfterValidator(_pattern)]


class _Named(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    admin: tuple[Entry, ...] = ()
    operator: tuple[Entry, ...] = ()
    viewer: tuple[Entry, ...] = ()


class _Limit(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    see: tuple[Entry, ...] = ()


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    # A provider that never says whether an address is verified lets people choose theirs: it must be trusted by name.
    trust_unverified_email: bool = False
    roles: _Named = Field(default_factory=_Named)
    collections: dict[Pattern, _Limit] = Field(default_factory=dict)


@dataclass(frozen=True)
class Roles:
    """The roles file as it was read. `trust_unverified_email`: an address counts although nobody verified it."""

    roles: tuple[tuple[Role, frozenset[str]], ...] = ()  # the highest first
    limits: tuple[tuple[str, frozenset[str]], ...] = ()  # pattern of collections, who may see them
    trust_unverified_email: bool = False
    _known: dict[tuple[str, str, frozenset[str]], Person] = field(default_factory=dict, compare=False, repr=False)

    def person(self, *, name: str, email: str = "", groups: Iterable[str] = (), verified: bool = True) -> Person:
        """Who somebody is that has signed in, by their address and the groups that their provider tells."""
        email = email.strip().casefold()
        if not ADDRESS.fullmatch(email) or not (verified or self.trust_unverified_email):
            email = ""
        asked = (name, email, frozenset(groups))
        found = self._known.get(asked)
        if found is None:
            if len(self._known) >= KEPT:
                self._known.clear()
            found = self._known[asked] = self._person(*asked)
        return found

    def _person(self, name: str, email: str, groups: frozenset[str]) -> Person:
        entries = {ANYBODY, *(f"{GROUP}{group}" for group in groups)}
        if email:
            entries |= {email, f"@{email.rpartition('@')[2]}"}
        role = next((role for role, named in self.roles if named & entries), None)
        hidden = [] if role is Role.ADMIN else [one for one, may_see in self.limits if not may_see & entries]
        # A name is whatever somebody told their provider: the record takes the address.
        return Person((email or name)[:LONGEST_NAME], role, email, groups, tuple(sorted(hidden)))

    def asked_for(self) -> tuple[tuple[str, str, frozenset[str]], ...]:
        """Name, address and groups of those who were looked up since the file changed."""
        return tuple(self._known)

    def limited(self, collection: str) -> bool:
        """Whether a collection is for some alone."""
        return any(fnmatchcase(collection, pattern) for pattern, _ in self.limits)


def parse(content: str, *, path: str = "the roles file") -> Roles:
    """The roles in a text. Raises RolesUnreadable with what is wrong and where."""
    try:
        found = _File.model_validate(tomllib.loads(content))
    except tomllib.TOMLDecodeError as error:
        raise RolesUnreadable(path=path, reason=f"it is no TOML: {error}") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RolesUnreadable(path=path, reason=f"{where}: {first['msg'].removeprefix('Value error, ')}") from None
    return Roles(
        roles=tuple((role, frozenset(getattr(found.roles, role.value))) for role in reversed(Role)),
        limits=tuple((pattern, frozenset(limit.see)) for pattern, limit in found.collections.items()),
        trust_unverified_email=found.trust_unverified_email,
    )


def read(path: Path) -> Roles:
    """The roles in a file. Raises RolesUnreadable."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise RolesUnreadable(path=path, reason="it is larger than 1 MB")
        return parse(content.decode("utf-8"), path=str(path))
    except OSError as error:
        raise RolesUnreadable(path=path, reason=error.strerror or type(error).__name__) from None
    except UnicodeDecodeError:
        raise RolesUnreadable(path=path, reason="it is not written in UTF-8") from None


class RolesFile:
    """A roles file that is looked at twice a second at most and read again when it changed. Safe between threads.

    One that cannot be used by now leaves the last good one in force, and `trouble` says why; one that is gone gives
    nobody any role.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trouble = ""
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._mark: object = None
        self._roles = Roles()

    def current(self) -> Roles:
        """The roles in force now."""
        if time.monotonic() - self._looked_at >= LOOK_EVERY_S:
            with self._lock:
                if time.monotonic() - self._looked_at >= LOOK_EVERY_S:
                    self._look()
                    self._looked_at = time.monotonic()
        return self._roles

    def content(self) -> str:
        """The text of the file. Raises RolesUnreadable."""
        try:
            return self.path.read_text("utf-8")
        except OSError as error:
            raise RolesUnreadable(path=self.path, reason=error.strerror or type(error).__name__) from None
        except UnicodeDecodeError:
            raise RolesUnreadable(path=self.path, reason="it is not written in UTF-8") from None

    def write(self, content: str, *, before: str) -> Roles:
        """Put another text in its place, whole or not at all, unless somebody else did since `before` was read.

        A file that is not there yet is made, when `before` is ''. Raises RolesUnreadable.
        """
        made = parse(content, path=str(self.path))
        with self._lock:
            path = self.path.resolve()  # a link stays a link
            there = path.exists()
            if (self.content() if there else "") != before:
                raise RolesUnreadable(path=self.path, reason="somebody else changed it meanwhile; load it again")
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                descriptor, temporary = tempfile.mkstemp(prefix="_tmp-roles-", dir=path.parent)
                try:
                    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                        file.write(content)
                        file.flush()
                        os.fsync(file.fileno())
                    if there:
                        Path(temporary).chmod(path.stat().st_mode & 0o777)
                    os.replace(temporary, path)
                except BaseException:
                    Path(temporary).unlink()
                    raise
            except OSError as error:
                raise RolesUnreadable(path=self.path, reason=error.strerror or type(error).__name__) from None
            self._look()
        return made

    def _look(self) -> None:
        try:
            stat = self.path.stat()
        except OSError as error:
            if self._mark != "gone":
                log.error("The roles file %s cannot be read (%s): nobody has a role.", self.path, error.strerror)
            self._mark, self._roles = "gone", Roles()
            self.trouble = f"The roles file {self.path} cannot be read ({error.strerror})."
            return
        mark = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if mark == self._mark:
            return
        self._mark = mark
        try:
            self._roles, self.trouble = read(self.path), ""
        except RolesUnreadable as error:
            self.trouble = f"{error} The roles of before stay in force."
            log.error("%s", self.trouble)
