"""What the server counts, for Prometheus; KServe's own `/metrics` shows it."""

from __future__ import annotations

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from runwright_components.serve.predictor import Predictor

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class ServerMetrics:
    """The counters of one server. Their children are kept, for looking them up costs more than counting."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._requests = Counter(
            "runwright_requests_total", "Prediction requests answered.", ("protocol", "code"), registry=registry
        )
        self._seconds = Histogram(
            "runwright_request_seconds",
            "From the request's first byte to the answer handed to the network.",
            ("protocol",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._rows = Counter("runwright_rows_total", "Rows predicted.", ("protocol",), registry=registry)
        self._refused = Counter(
            "runwright_validation_errors_total", "Requests refused, by what was wrong.", ("kind",), registry=registry
        )
        self._logged = Counter("runwright_logged_requests_total", "Requests whose rows were logged.", registry=registry)
        self._dropped = Counter(
            "runwright_dropped_requests_total", "Requests that were to be logged and were not.", registry=registry
        )
        self._info = Gauge(
            "runwright_model_info",
            "The model that is served; always 1.",
            ("name", "digest", "task", "modality"),
            registry=registry,
        )
        self._codes: dict[tuple[str, int], Counter] = {}
        self._timers = {protocol: self._seconds.labels(protocol) for protocol in ("v1", "v2")}
        self._row_counts = {protocol: self._rows.labels(protocol) for protocol in ("v1", "v2")}

    def serves(self, name: str, predictor: Predictor) -> None:
        """Say which model is served."""
        signature = predictor.signature
        self._info.labels(name, predictor.model_digest, signature.task, signature.modality).set(1)

    def answered(self, protocol: str, code: int, seconds: float, rows: int) -> None:
        """Count one answer."""
        key = (protocol, code)
        if (counter := self._codes.get(key)) is None:
            counter = self._codes[key] = self._requests.labels(protocol, str(code))
        counter.inc()
        self._timers[protocol].observe(seconds)
        if rows:
            self._row_counts[protocol].inc(rows)

    def refused(self, kind: str) -> None:
        """Count one refused request by the kind of its RequestError."""
        self._refused.labels(kind).inc()

    def logged(self, requests: int) -> None:
        """Count requests whose rows were logged."""
        self._logged.inc(requests)

    def dropped(self, requests: int) -> None:
        """Count requests that did not fit into the queue of the log, or whose place could not be written."""
        self._dropped.inc(requests)
