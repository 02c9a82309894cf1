"""What stands in the query of a list or a watch."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tests.apiserver.statuses import bad_request, invalid_options, not_a_version

if TYPE_CHECKING:
    from collections.abc import Mapping

NOT_OLDER_THAN = "NotOlderThan"
EXACT = "Exact"


class Options(NamedTuple):
    """version: the resourceVersion; None if it was not given, or empty."""

    is_watch: bool
    version: int | None
    match: str
    limit: int
    continues: str
    labels: str
    fields: str
    timeout: float | None
    bookmarks: bool
    initial_events: bool | None

    @property
    def verb(self) -> str:
        return "watch" if self.is_watch else "list"

    @property
    def kind(self) -> str:
        return "watchlist" if self.is_watch and self.initial_events else self.verb


def read(query: Mapping[str, str]) -> Options:
    initial_events = query.get("sendInitialEvents")
    timeout = query.get("timeoutSeconds", "")
    return Options(
        is_watch=is_true(query.get("watch", "")),
        version=_version(query.get("resourceVersion", "")),
        match=query.get("resourceVersionMatch", ""),
        limit=_number(query.get("limit", "")),
        continues=query.get("continue", ""),
        labels=query.get("labelSelector", ""),
        fields=query.get("fieldSelector", ""),
        timeout=_number(timeout) or None,
        bookmarks=is_true(query.get("allowWatchBookmarks", "")),
        initial_events=None if initial_events is None else is_true(initial_events),
    )


def check(options: Options, *, has_watch_lists: bool) -> None:
    """What apimachinery's ValidateListOptions forbids."""
    causes = []
    if not options.is_watch:
        if options.match and options.version is None:
            causes.append(
                ("resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided")
            )
        if options.initial_events is not None:
            causes.append(("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    elif options.initial_events is None:
        if options.match:
            why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            causes.append(("resourceVersionMatch", why))
    else:
        if options.match != NOT_OLDER_THAN:
            why = f"sendInitialEvents requires setting resourceVersionMatch to {NOT_OLDER_THAN}"
            causes.append(("resourceVersionMatch", why))
        if not has_watch_lists:
            why = "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"
            causes.append(("sendInitialEvents", why))
    if causes:
        raise invalid_options(causes)


def is_true(text: str) -> bool:
    return text.lower() in ("1", "true", "t")


def _number(text: str) -> int:
    try:
        return int(text or 0)
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def _version(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise not_a_version(text)
    return int(text)
