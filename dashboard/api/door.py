"""One door of the API: how it is asked for, which right it takes, and what it does. The table of them is `doors`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from dashboard import connection
from dashboard.api.uploading import Form
from dashboard.memory.mirror import Mirror
from tasks.access import Person, Right
from tasks.ledger import Ledger
from tasks.settings import Settings

Method = Literal["GET", "POST", "PUT", "DELETE"]
PARAMETER = re.compile(r"\{(\w+)\}")


class Said(BaseModel):
    """What a request says, in its address or its body: what is not known is refused, so that no typo is overheard."""

    model_config = ConfigDict(frozen=True, extra="forbid")


S = TypeVar("S", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that was let in: the ledger in the hands of its person, and what it says."""

    ledger: Ledger
    token: str  # id of the token that it came with; '' where none is needed
    path: Mapping[str, str] = field(default_factory=dict)
    query: BaseModel | None = None
    body: BaseModel | None = None
    form: Form | None = None

    @property
    def person(self) -> Person:
        return self.ledger.person

    @property
    def settings(self) -> Settings:
        return self.ledger.settings

    @property
    def board(self) -> Mirror:
        """The board as this person sees it."""
        return connection.shared().feed.look().seen_by(self.person)

    def asks(self, kind: type[S]) -> S:
        """The parameters of the address."""
        assert isinstance(self.query, kind)
        return self.query

    def says(self, kind: type[S]) -> S:
        """The body."""
        assert isinstance(self.body, kind)
        return self.body


Work = Callable[[Asked], Any]


@dataclass(frozen=True, slots=True)
class Door:
    """A method on a path below /api/v1. `right` is asked before anything is read; `also` are the rights that a body may
    ask for beyond it, each with such a body: `tasks.ledger.control` asks for them.

    `example` is a body that is understood, for the tests and for the OpenAPI document.
    """

    method: Method
    path: str
    right: Right
    work: Work
    about: str
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    files: bool = False  # the body is multipart/form-data with files
    status: int = 200
    example: Mapping[str, Any] = field(default_factory=dict)
    also: Mapping[Right, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def parameters(self) -> list[str]:
        """Names in the path."""
        return PARAMETER.findall(self.path)

    @property
    def name(self) -> str:
        """Its name in the OpenAPI document, such as post_jobs_job_cancel."""
        return "_".join((self.method.lower(), *re.findall(r"\w+", self.path.replace("-", "_"))))
