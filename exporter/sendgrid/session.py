"""The requests session that one worker at a time uses: the key, the trust, the deadline, and nothing from outside."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from ssl import SSLContext
from typing import Any
from urllib.parse import urlencode

import requests
from requests.adapters import HTTPAdapter

from exporter.authorities import Authorities
from exporter.clock import Clock
from exporter.sendgrid.proxy import proxy_authorization
from exporter.sendgrid.sockets import Deadline, Resolver, pool_classes, trusting_context


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """How SendGrid is asked."""

    base_url: str
    """Scheme, host and port, without a slash at the end; the key goes nowhere else."""
    timeout: float
    """Seconds for a whole exchange, from the connection to the last byte."""
    page_size: int
    user_agent: str
    on_behalf_of: str | None = None
    proxy: str | None = None
    authorities: Authorities | None = None
    """Those to trust instead of the system's."""
    most_tries: int = 4
    """Of one request, after failures that may pass."""


class _Session(requests.Session):
    """A session for which a redirect is an answer: requests would read its whole body, even if it is not followed."""

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002  # requests names it
        return


class ApiSession:
    """A session of requests that one worker at a time uses, and the deadline that its sockets obey."""

    def __init__(
        self,
        options: ClientOptions,
        clock: Clock,
        adapter: Callable[[Deadline], HTTPAdapter],
    ) -> None:
        self.deadline = Deadline(clock)
        self.was_used = False
        """Whether it carried a request since it was made or reconnected."""
        self._base_url = options.base_url
        self._prepared: requests.PreparedRequest | None = None
        self.session = _Session()
        self.session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        # requests would take proxies, a CA bundle and .netrc from the environment; .netrc would replace the key.
        self.session.trust_env = False
        self.session.headers.clear()
        self.session.headers.update(_headers(options))
        if options.proxy:
            self.session.proxies = {"http": options.proxy, "https": options.proxy}
        # Only the two mounted here: requests' own adapters would ignore the deadline.
        self.session.adapters.clear()
        mounted = adapter(self.deadline)
        self.session.mount("https://", mounted)
        self.session.mount("http://", mounted)

    def get(self, url: str, query: Mapping[str, str], key: str, seconds: float) -> requests.Response:
        """Send one request for an address below the base URL; the body is left to be read, redirects are answers.

        Only address and key differ from one request to the next, and requests takes as long to prepare one as urllib3
        to send it: the first is prepared, the others are copies. Nothing but this puts the key into a request, so no
        .netrc can take its place.
        """
        if self._prepared is None:
            self._prepared = self.session.prepare_request(requests.Request("GET", self._base_url))
        request = self._prepared.copy()
        base = str(self._prepared.url).rstrip("/")
        request.url = f"{base}{url.removeprefix(self._base_url)}?{urlencode(query, errors='surrogateescape')}"
        request.headers["Authorization"] = f"Bearer {key}"
        return self.session.send(request, timeout=seconds, stream=True, allow_redirects=False)

    def reconnect(self) -> None:
        """Close whatever is connected; the next request connects again."""
        self.session.close()
        self.was_used = False


class _DeadlineAdapter(HTTPAdapter):
    """An adapter whose connections obey the deadline and trust one context, made once."""

    def __init__(self, deadline: Deadline, trust: SSLContext | None, resolver: Resolver) -> None:
        self._pool_classes = pool_classes(deadline, resolver)
        self._trust = trust
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._trust, **options)
        # No argument of urllib3's PoolManager, but the public attribute through which it makes its pools.
        self.poolmanager.pool_classes_by_scheme = self._pool_classes

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, ssl_context=self._trust, proxy_ssl_context=self._trust, **options)
        manager.pool_classes_by_scheme = self._pool_classes
        return manager

    def proxy_headers(self, proxy: str) -> dict[str, str]:
        """Return the credentials as the proxy's URL has them; requests can send none beyond Latin-1."""
        authorization = proxy_authorization(proxy)
        return {"Proxy-Authorization": authorization} if authorization else {}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Leave trust to the context, which holds the authorities already."""


def deadline_adapters(options: ClientOptions, resolver: Resolver | None = None) -> Callable[[Deadline], HTTPAdapter]:
    """Return what makes each connection's adapter; the authorities, some megabytes, are read once and only for TLS."""
    encrypted = any(address.startswith("https:") for address in (options.base_url, options.proxy or ""))
    trust = trusting_context(options.authorities) if encrypted else None
    resolver = resolver or Resolver()
    return lambda deadline: _DeadlineAdapter(deadline, trust, resolver)


def _headers(options: ClientOptions) -> dict[str, str]:
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": options.user_agent}
    return headers | ({"on-behalf-of": options.on_behalf_of} if options.on_behalf_of else {})
