"""Families of metrics, made of plain numbers by their labels."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client import Metric

    from clusterdns.durations import Buckets

    Labels: TypeAlias = tuple[str, ...]


def counter(name: str, text: str, labels: str, numbers: Mapping[Labels, float]) -> Metric:
    """labels: the names of the labels, with spaces between them; `_total` comes behind the name."""
    family = CounterMetricFamily(name, text, labels=labels.split())
    for values, number in numbers.items():
        family.add_metric(values, number)
    return family


def gauge(name: str, text: str, labels: str, numbers: Mapping[Labels, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels.split())
    for values, number in numbers.items():
        family.add_metric(values, number)
    return family


def histogram(name: str, text: str, labels: str, counted: Mapping[Labels, Buckets]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels.split())
    for values, buckets in counted.items():
        bounds = [*(f"{bound:g}" for bound in buckets.bounds), "+Inf"]
        numbers = map(float, accumulate(buckets.counts))
        family.add_metric(values, list(zip(bounds, numbers, strict=True)), buckets.sum)
    return family
