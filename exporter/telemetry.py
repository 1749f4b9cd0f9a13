"""The exporter's own metrics that are not about one automation, on a registry of their own."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, Protocol, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from exporter.about import ProgramInfo
from exporter.clock import Clock
from exporter.domain import Endpoint, Outcome, Standing
from exporter.exposition import EMPTY, OPENMETRICS_END, Compressed, compress, join
from exporter.sendgrid.budget import RateLimitHeaders

_POLL_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_REQUEST_SECONDS: Final = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


CollectorT = TypeVar("CollectorT", bound=Collector)


class _RateLimitReset(Collector):
    """A gauge that is absent until SendGrid has sent a reset time: a 0 would be a moment in 1970."""

    def __init__(self) -> None:
        self.at: dict[Endpoint, float] = {}

    def collect(self) -> Iterator[Metric]:
        name = "sendgrid_exporter_api_rate_limit_reset_timestamp_seconds"
        explanation = "When SendGrid's request budget for the endpoint is full again, seconds since the epoch."
        family = GaugeMetricFamily(name, explanation, labels=["endpoint"])
        for endpoint, at in list(self.at.items()):
            family.add_metric([endpoint.value], at)
        yield family


class _Account(Collector):
    """Metrics of the list of automations; all are absent while the list is not read."""

    def __init__(self) -> None:
        self.reads: dict[Outcome, int] = {}
        self.succeeded_at: float | None = None
        self.discovered: Mapping[Standing, int] | None = None

    def collect(self) -> Iterator[Metric]:
        name = "sendgrid_exporter_list_reads"
        reads = CounterMetricFamily(name, "Readings of the list of automations by outcome.", labels=["outcome"])
        for outcome, count in list(self.reads.items()):
            reads.add_metric([outcome.value], count)
        yield reads
        name = "sendgrid_exporter_list_last_success_timestamp_seconds"
        explanation = "When the list of automations was last read whole, seconds since the epoch."
        yield GaugeMetricFamily(name, explanation, value=self.succeeded_at)
        name = "sendgrid_exporter_discovered_automations"
        explanation = "Automations of the account by how they stand; absent while discovery is off."
        discovered = GaugeMetricFamily(name, explanation, labels=["state"])
        for standing, number in (self.discovered or {}).items():
            discovered.add_metric([standing.value], number)
        yield discovered


class DropsLines(Protocol):
    """A log that drops a line rather than wait."""

    dropped: int
    """The number of lines dropped so far."""


class _DroppedLines(Collector):
    """The log's own count, read at each scrape: a line can be dropped at any moment, by any thread."""

    def __init__(self, log: DropsLines) -> None:
        self._log = log

    def collect(self) -> Iterator[Metric]:
        name = "sendgrid_exporter_log_lines_dropped"
        explanation = "Log lines that were dropped, because stderr was not read or could not be written."
        yield CounterMetricFamily(name, explanation, value=self._log.dropped)


class _Part:
    """One collector's metrics, and their text in each format until they change.

    Between two scrapes usually only few metrics change, and rendering would take most of a small scrape's time.
    """

    def __init__(self, collector: Collector) -> None:
        self.collect = collector.collect
        self._rendered: dict[bool, Compressed] = {}

    def text(self, generate: Callable[..., bytes], *, openmetrics: bool) -> Compressed:
        """Return the text, rendered again only after a change."""
        rendered = self._rendered
        if openmetrics not in rendered:
            rendered[openmetrics] = _compressed(generate(self))
        return rendered[openmetrics]

    def changed(self) -> None:
        """Discard the rendered text; what another thread is rendering meanwhile goes into the old dictionary."""
        # A new dictionary instead of clear(): a scrape that renders old values now must not leave them in this one.
        self._rendered = {}


class _OneFamily:
    """A metric as prometheus_client renders it."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        return (self._family,)


class _Watched:
    """Metrics whose changes nobody reports, such as the process's: each keeps its text until its samples change."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._rendered: dict[tuple[str, bool], tuple[Metric, Compressed]] = {}

    def texts(self, generate: Callable[..., bytes], *, openmetrics: bool) -> Iterator[Compressed]:
        """Yield the current text of each metric."""
        for family in self._registry.collect():
            key = (family.name, openmetrics)
            before, text = self._rendered.get(key, (None, EMPTY))
            if before != family:
                text = _compressed(generate(_OneFamily(family)))
                self._rendered[key] = (family, text)
            yield text


class Telemetry:
    """Counts what the exporter does. Every outcome starts at 0, so that a first failure is an increase."""

    def __init__(
        self,
        about: ProgramInfo,
        *,
        clock: Clock,
        link_series: Callable[[], int],
        log: DropsLines | None = None,
    ) -> None:
        """Also count the lines that `log` drops, if given."""
        self._clock = clock
        self._link_series = link_series
        self._shown_series: int | None = None
        self._parts: dict[Collector, _Part] = {}
        self.registry = CollectorRegistry(auto_describe=True)
        self.process_registry = CollectorRegistry(auto_describe=True)
        self._process = _Watched(self.process_registry)
        self._build_info(about)
        self._polls = self._counter("sendgrid_exporter_polls", "Polls of automations by outcome.", ["outcome"])
        for outcome in Outcome:
            self._polls.labels(outcome.value)
        self._poll_seconds = self._histogram(
            "sendgrid_exporter_poll_duration_seconds",
            "Duration of a poll, with all its pages and retries.",
            _POLL_SECONDS,
        )
        self._requests = self._counter(
            "sendgrid_exporter_api_requests",
            "Requests to SendGrid by endpoint and HTTP status; code is none where no answer came.",
            ["endpoint", "code"],
        )
        self._request_seconds = self._histogram(
            "sendgrid_exporter_api_request_duration_seconds",
            "Duration of a request to SendGrid.",
            _REQUEST_SECONDS,
            ["endpoint"],
        )
        self._request_seconds.labels(Endpoint.LINKS.value)
        self._rate_limit = self._gauge(
            "sendgrid_exporter_api_rate_limit",
            "SendGrid's own request budget for the endpoint, from its last answer.",
            ["endpoint", "kind"],
        )
        self._rate_limit_reset = self._registered(_RateLimitReset())
        self._account = self._registered(_Account())
        self._series = self._gauge("sendgrid_exporter_link_series", "Link series exposed now.")
        self._series.set_function(link_series)
        self._folded = self._counter(
            "sendgrid_exporter_links_folded", "Links added to an overflow row, counted once when they enter it."
        )
        self._mismatches = self._counter(
            "sendgrid_exporter_count_mismatches",
            "Polls published although SendGrid's rows differ from its own count or total, for three polls or more.",
        )
        self._shard = self._gauge("sendgrid_exporter_shard_info", "This process's shard; always 1.", ["index", "total"])
        self._reload_ok = self._gauge(
            "sendgrid_exporter_config_last_reload_successful",
            "Whether the last configuration reload succeeded.",
        )
        self._reload_at = self._gauge(
            "sendgrid_exporter_config_last_reload_success_timestamp_seconds",
            "When the configuration was last loaded successfully, seconds since the epoch.",
        )
        self._failed_logins = self._counter(
            "sendgrid_exporter_web_failed_logins", "Requests refused for their user or password."
        )
        self._web_config_ok = self._gauge(
            "sendgrid_exporter_web_config_last_reload_successful",
            "Whether the web config file and its certificates as they are now are in effect.",
        )
        self._state_enabled = self._gauge(
            "sendgrid_exporter_state_enabled", "Whether state.path names a file that keeps the last good values."
        )
        self._state_failing = self._gauge(
            "sendgrid_exporter_state_failing",
            "Whether that file cannot be used now: locked, full, out of reach, or a disk that does not answer.",
        )
        if log is not None:
            self.process_registry.register(_DroppedLines(log))
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.process_registry)
        self._reload_ok.set(1)
        self._web_config_ok.set(1)
        self._reload_at.set(clock.time())

    def polled(self, outcome: Outcome, seconds: float) -> None:
        """Count a poll."""
        self._polls.labels(outcome.value).inc()
        self._poll_seconds.observe(seconds)
        self._changed(self._polls, self._poll_seconds)

    def requested(self, endpoint: Endpoint, code: str, seconds: float, rate_limit: RateLimitHeaders | None) -> None:
        """Count a request: its status, or `none`."""
        self._requests.labels(endpoint.value, code).inc()
        self._request_seconds.labels(endpoint.value).observe(seconds)
        self._changed(self._requests, self._request_seconds)
        if rate_limit is not None:
            self._show(endpoint, rate_limit)

    def _show(self, endpoint: Endpoint, rate_limit: RateLimitHeaders) -> None:
        for kind, number in (("limit", rate_limit.limit), ("remaining", rate_limit.remaining)):
            if number is not None:
                self._rate_limit.labels(endpoint.value, kind).set(number)
        if rate_limit.reset_in is not None:
            self._rate_limit_reset.at[endpoint] = round(self._clock.time() + rate_limit.reset_in, 3)
        self._changed(self._rate_limit, self._rate_limit_reset)

    def list_enabled(self, *, enabled: bool) -> None:
        """Show the outcomes of reading the list of automations, starting at 0, or remove them."""
        if not enabled:
            self._account.reads, self._account.succeeded_at = {}, None
        elif not self._account.reads:
            self._account.reads = dict.fromkeys(Outcome, 0)
        self._changed(self._account)

    def list_read(self, outcome: Outcome, now: float) -> None:
        """Count a read of the list of automations that ended now (wall clock)."""
        self._account.reads[outcome] = self._account.reads.get(outcome, 0) + 1
        if outcome is Outcome.SUCCESS:
            self._account.succeeded_at = round(now, 3)
        self._changed(self._account)

    def discovered(self, standings: Mapping[Standing, int] | None) -> None:
        """Show the number of the account's automations by state; None while discovery is off."""
        self._account.discovered = standings
        self._changed(self._account)

    def folded(self, rows: int) -> None:
        """Count rows that entered an overflow row."""
        self._folded.inc(rows)
        self._changed(self._folded)

    def mismatched(self) -> None:
        """Count a poll whose numbers were published although they contradict SendGrid's own count or total."""
        self._mismatches.inc()
        self._changed(self._mismatches)

    def sharded(self, index: int, total: int) -> None:
        """Show which shard this is."""
        self._shard.clear()
        self._shard.labels(str(index), str(total)).set(1)
        self._changed(self._shard)

    def reloaded(self, *, successful: bool) -> None:
        """Record whether the configuration could be read."""
        self._reload_ok.set(int(successful))
        if successful:
            self._reload_at.set(self._clock.time())
        self._changed(self._reload_ok, self._reload_at)

    def login_failed(self) -> None:
        """Count a request that was refused because of its user or password."""
        self._failed_logins.inc()
        self._changed(self._failed_logins)

    def web_config_read(self, *, successful: bool) -> None:
        """Record whether the current web config file is in effect."""
        self._web_config_ok.set(int(successful))
        self._changed(self._web_config_ok)

    def state_enabled(self) -> None:
        """Record that the last good values are saved in a file."""
        self._state_enabled.set(1)
        self._changed(self._state_enabled)

    def state_failing(self, failing: bool) -> None:  # noqa: FBT001  # the only thing to say, as an observer
        """Record whether that file cannot be used."""
        self._state_failing.set(int(failing))
        self._changed(self._state_failing)

    def render(self, *, openmetrics: bool, names: frozenset[str] | None) -> Compressed:
        """Return the metrics for a scrape, without an end mark; only those in `names`, if given."""
        generate: Callable[..., bytes] = generate_openmetrics if openmetrics else generate_latest
        if names is not None:
            parts = [self.registry.restricted_registry(names), self.process_registry.restricted_registry(names)]
            return join(_compressed(generate(part)) for part in parts)
        if self._link_series() != self._shown_series:
            self._shown_series = self._link_series()
            self._changed(self._series)
        own = [part.text(generate, openmetrics=openmetrics) for part in self._parts.values()]
        return join([*own, *self._process.texts(generate, openmetrics=openmetrics)])

    def _changed(self, *collectors: Collector) -> None:
        for collector in collectors:
            self._parts[collector].changed()

    def _build_info(self, about: ProgramInfo) -> None:
        labels = {"version": about.version, "revision": about.revision, "python_version": about.python_version}
        gauge = self._gauge("sendgrid_exporter_build_info", "The exporter's version; always 1.", list(labels))
        gauge.labels(**labels).set(1)

    def _counter(self, name: str, explanation: str, labels: Iterable[str] = ()) -> Counter:
        return self._registered(Counter(name, explanation, labels, registry=None))

    def _gauge(self, name: str, explanation: str, labels: Iterable[str] = ()) -> Gauge:
        return self._registered(Gauge(name, explanation, labels, registry=None))

    def _histogram(
        self, name: str, explanation: str, buckets: Iterable[float], labels: Iterable[str] = ()
    ) -> Histogram:
        return self._registered(Histogram(name, explanation, labels, buckets=tuple(buckets), registry=None))

    def _registered(self, collector: CollectorT) -> CollectorT:
        self.registry.register(collector)
        self._parts[collector] = _Part(collector)
        return collector


def _compressed(text: bytes) -> Compressed:
    return compress([text.removesuffix(OPENMETRICS_END)])
