"""Counters of the service, as the text that Prometheus reads."""

from collections import Counter
from collections.abc import Mapping
from threading import Lock

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds


class Counters:
    """Count requests by route and status, and their seconds in buckets."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._buckets: Counter[tuple[str, float]] = Counter()
        self._seconds: Counter[str] = Counter()

    def count(self, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        with self._lock:
            self._requests[route, status] += 1
            self._seconds[route] += seconds
            for bound in BOUNDS:
                if seconds <= bound:
                    self._buckets[route, bound] += 1

    def text(self, pictures: Mapping[str, int]) -> str:
        """Format all counters, and the number of pictures of each collection.

        Reference: https://prometheus.io/docs/instrumenting/exposition_formats/
        """
        lines = ["# TYPE crossmodal_requests_total counter"]
        with self._lock:
            for (route, status), n in sorted(self._requests.items()):
                labels = f'route="{route}",status="{status}"'
                lines.append(f"crossmodal_requests_total{{{labels}}} {n}")
            lines.append("# TYPE crossmodal_request_seconds histogram")
            for route in sorted(self._seconds):
                total = sum(n for (name, _), n in self._requests.items() if name == route)
                for bound in (*BOUNDS, None):
                    n = total if bound is None else self._buckets[route, bound]
                    labels = f'route="{route}",le="{"+Inf" if bound is None else bound}"'
                    lines.append(f"crossmodal_request_seconds_bucket{{{labels}}} {n}")
                name = f'{{route="{route}"}}'
                lines.append(f"crossmodal_request_seconds_sum{name} {self._seconds[route]:.6f}")
                lines.append(f"crossmodal_request_seconds_count{name} {total}")
        lines.append("# TYPE crossmodal_pictures gauge")
        for name, n in pictures.items():
            lines.append(f'crossmodal_pictures{{collection="{_escaped(name)}"}} {n}')
        return "\n".join(lines) + "\n"


def _escaped(label: str) -> str:
    return label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
