"""A login at a registry, by the protocols that registries have for it."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import quote

import requests

from doctor.web import FailedError, Server, WebLogin, answered


class RegistrySession:
    """A login, by a password with each request or by tokens for it; None is nobody."""

    def __init__(self, asked: Server, base: str, login: WebLogin | None, challenge: str) -> None:
        """Remember them; ``challenge`` is how the registry asks for a login."""
        self.base = base
        self._asked = asked
        self._login = login
        # Of several ways that a registry offers, the first counts.
        self._bearer = dict(reversed(re.findall(r'(\w+)="([^"]*)"', challenge)))
        self._tokens: dict[str, str] = {}
        self.has_tokens = challenge.lower().startswith("bearer")
        self.is_open = not challenge

    def is_accepted(self) -> bool:
        """Whether the registry takes the user name and the password.

        Raises:
            FailedError: it does not say.
        """
        answer = (
            self._token("")
            if self.has_tokens
            else self._asked.send("GET", f"{self.base}/v2/", login=self._login)
        )
        refuses = answer.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
        if answer.status_code != HTTPStatus.OK and not refuses:
            raise FailedError(answered(answer))
        return not refuses

    def _token(self, scope: str) -> requests.Response:
        if "realm" not in self._bearer:
            message = "it does not say who hands out its tokens"
            raise FailedError(message)
        given = {"service": self._bearer.get("service", ""), "scope": scope}
        asked = "&".join(f"{key}={quote(text)}" for key, text in given.items() if text)
        return self._asked.send("GET", f"{self._bearer['realm']}?{asked}", login=self._login)

    def send(
        self, method: str, url: str, scope: str, headers: Mapping[str, str] | None = None
    ) -> requests.Response:
        """Send a request; ``scope`` is what a token has to be for: a repository and what is done.

        Raises:
            FailedError: no answer came.
        """
        if not self.has_tokens:
            return self._asked.send(method, url, login=self._login, headers=headers)
        if scope not in self._tokens:
            answer = self._token(scope)
            known: dict[str, str] = answer.json() if answer.status_code == HTTPStatus.OK else {}
            self._tokens[scope] = known.get("token") or known.get("access_token", "")
        bearer = {"Authorization": f"Bearer {self._tokens[scope]}"}
        return self._asked.send(method, url, headers={**(headers or {}), **bearer})

    def reach(self, url: str) -> None:
        """See that another server answers, which gets no login.

        Raises:
            FailedError: no answer came.
        """
        self._asked.send("HEAD", url)
