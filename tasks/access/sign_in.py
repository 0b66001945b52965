"""Whether the board may start as it is set: a real sign-in wherever it can be reached from elsewhere.

Reads the file of the OpenID provider, which holds secrets: none of them is ever part of a message. Knows nothing of
how somebody signs in; that is the dashboard's.
"""

from __future__ import annotations

import ipaddress
import os
import stat
import tomllib
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from tasks.access import roles
from tasks.errors import NoSignIn, SignInUnusable
from tasks.settings import Settings

CALLBACK = "/oauth2callback"  # where Streamlit takes the provider's answer
LARGEST = 64 * 1024
FOR_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens there. A name counts as elsewhere, but for localhost."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _secure(value: str) -> str:
    """A web address that nobody between can listen to or change: https, or http on this machine."""
    parts = urlsplit(value)
    if not parts.hostname or parts.scheme not in ("http", "https") or parts.username or parts.password:
        raise ValueError("is no web address")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("must begin with https:// unless it is on this machine")
    return value


def _called_back(value: str) -> str:
    parts = urlsplit(_secure(value))
    if parts.path != CALLBACK or parts.query or parts.fragment:
        raise ValueError(f"must be the address of the board with {CALLBACK} behind it, and no more")
    return value


def _long(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < 32:
        raise ValueError("must have 32 characters or more; `openssl rand -base64 32` makes one")
    return value


Address = Annotated[str, AfterValidator(_secure)]
Callback = Annotated[str, AfterValidator(_called_back)]
Secret = Annotated[SecretStr, Field(min_length=1)]


class Provider(BaseModel):
    """The section [auth] of the sign-in file, as Streamlit reads it (st.login), for one provider."""

    # Nothing else: expose_tokens would hand the tokens of the provider to the pages.
    model_config = ConfigDict(frozen=True, extra="forbid")

    redirect_uri: Callback
    cookie_secret: Annotated[SecretStr, AfterValidator(_long)]
    client_id: Annotated[str, Field(min_length=1)]
    client_secret: Secret
    server_metadata_url: Address
    client_kwargs: dict[str, Any] = Field(default_factory=dict)

    @property
    def origin(self) -> str:
        """The board as browsers see it: scheme, host and port."""
        parts = urlsplit(self.redirect_uri)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def secure(self) -> bool:
        """Whether the board is reached over https."""
        return self.redirect_uri.startswith("https:")


class _File(BaseModel):
    # A name beside [auth] would be put into the environment by Streamlit.
    model_config = ConfigDict(frozen=True, extra="forbid")

    auth: Provider


def provider(path: Path) -> Provider:
    """What a sign-in file says. Raises SignInUnusable."""
    if path.suffix != ".toml":
        raise _unusable(path, "its name does not end in .toml")
    try:
        # The mode of what is read, not of what lay there before.
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise _unusable(path, "it is no file")
            if found.st_mode & FOR_OTHERS:
                raise _unusable(path, f"others than its owner may use it: run chmod 600 {path}")
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise _unusable(path, error.strerror or type(error).__name__) from None
    if len(content) > LARGEST:
        raise _unusable(path, "it is larger than 64 kB")
    try:
        return _File.model_validate(tomllib.loads(content.decode("utf-8"))).auth
    except UnicodeDecodeError:
        raise _unusable(path, "it is not written in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise _unusable(path, f"it is no TOML: {error}") from None
    except ValidationError as error:
        # Without the input: it is secret.
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise _unusable(path, f"{where}: {first['msg'].removeprefix('Value error, ')}") from None


def ready(settings: Settings) -> None:
    """Whether the board may listen as it is set. Raises NoSignIn, SignInUnusable or RolesUnreadable."""
    if settings.auth == "local":
        if not is_loopback(settings.host):
            raise NoSignIn(host=settings.host)
        return
    if settings.auth == "oidc":
        provider(file_of(settings))
    elif not settings.proxies:
        raise SignInUnusable(
            reason="INGESTBOARD_AUTH=proxy believes what a proxy says of people, and none is named",
            remedy="set INGESTBOARD_PROXIES to the address from which yours asks",
        )
    roles.read(settings.roles_file)


def file_of(settings: Settings) -> Path:
    """Where the sign-in file lies. Raises SignInUnusable when no place is set."""
    if settings.sign_in is None:
        raise SignInUnusable(
            reason="INGESTBOARD_AUTH=oidc needs the file that describes the OpenID provider",
            remedy="set INGESTBOARD_SIGN_IN to its path",
        )
    return settings.sign_in.expanduser().resolve()


def _unusable(path: Path, reason: str) -> SignInUnusable:
    return SignInUnusable(reason=f"the file {path} cannot be used ({reason})", remedy="correct it")
