"""A server that is asked, the limits of what may be asked of it, and the proof that it is a fake of this project."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import field
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

import httpx

from fine_tuning_formats.lazy_dataclass import dataclass

from ..domain.dialects.dialect import Dialect
from ..web.dialect_adapter import account_root
from .answers import SeenAnswer

NO_LIMIT = 10**9
POLL_S = 2.0
COLLECTIONS = ("/fine_tuning/jobs", "/files", "/uploads", "/chat/completions", "/completions")
"""Paths whose POST creates something."""


class BudgetError(Exception):
    """The request could create something, and the budget does not allow it."""


@dataclass
class Target:
    """A server of the API.

    Args:
        http: the client that reaches it.
        base_url: the URL of the API, without a slash at its end.
        dialect: the dialect that it claims.
        key: the API key.
        budget: how many jobs may be created; 0: nothing is created at all.
        timeout_s: how many real seconds a job may take.
        is_fake: whether it is known to be a fake of this project, whose clock can be moved.
    """

    http: httpx.Client
    base_url: str
    dialect: Dialect
    key: str = "conform"
    budget: int = 0
    timeout_s: float = 600.0
    is_fake: bool = False
    request_ids: list[str] = field(default_factory=list)

    def ask(self, method: str, path: str, *, without_key: bool = False, **request: Any) -> SeenAnswer:
        """Send a request for a path below the base URL; return the answer, or why there was none.

        Raises:
            BudgetError: it could create something, and may not.
        """
        creates = method == "POST" and path.partition("?")[0] in COLLECTIONS
        creates_job = creates and path.startswith("/fine_tuning")
        if creates and (self.budget < 1 if creates_job else not self.may_create):
            raise BudgetError(f"{method} {path}")
        headers = {**({} if without_key else self._key_headers), **request.pop("headers", {})}
        answer = self._send(method, self.base_url + path, headers=headers, **request)
        if creates_job and not 400 <= answer.status < 500:  # also where nobody knows what has become of it
            self.budget -= 1
            self._has_created = True
        return answer

    _has_created = False

    @property
    def may_create(self) -> bool:
        """Whether files may be created for jobs."""
        return self.budget > 0 or self._has_created

    def control(self, method: str, path: str, **request: Any) -> SeenAnswer:
        """Send a control request of the fake."""
        return self._send(method, account_root(self.base_url) + path, headers=self._key_headers, **request)

    def wait(self, job: str) -> bool:
        """Wait until a job has ended; return whether it has."""
        if self.is_fake:
            self.control("POST", "/_fake/clock/advance", json={"to": "succeeded", "job": job})
        deadline = time.monotonic() + self.timeout_s
        while True:
            status = self.ask("GET", f"/fine_tuning/jobs/{quote(job, safe='')}").members.get("status")
            if status in ("succeeded", "failed", "cancelled"):
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(0 if self.is_fake else POLL_S)

    def prove_fake(self) -> str | None:
        """Return the dialect of the fake that answers here; None unless its log shows what this URL was asked."""
        nonce = f"conform-{uuid4().hex}"
        self.ask("GET", f"/models?{nonce}")
        seen = self.control("GET", "/_fake/requests?limit=20").members.get("requests")
        is_seen = isinstance(seen, list) and any(
            isinstance(each, dict) and nonce in str(each.get("query")) for each in seen
        )
        account = self.control("GET", "/_fake").members.get("account")
        return str(account["dialect"]) if is_seen and isinstance(account, dict) and "dialect" in account else None

    @property
    def _key_headers(self) -> Mapping[str, str]:
        header = self.dialect.http.key_header.decode()
        return {header: self.key} if header else {"authorization": f"Bearer {self.key}"}

    def _send(self, method: str, url: str, **request: Any) -> SeenAnswer:
        try:
            response = self.http.request(method, url, **request)
        except httpx.HTTPError as error:
            return SeenAnswer(0, error=f"{type(error).__name__}: {error}")
        headers = {name.lower(): value for name, value in response.headers.items()}
        if number := headers.get(self.dialect.http.request_id[0].decode()):
            self.request_ids.append(number)
        return SeenAnswer(response.status_code, headers, response.content)


def is_loopback(url: str) -> bool:
    """Return whether the host of *url* is this machine, by its name or its address."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
