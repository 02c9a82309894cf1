"""The answers that say no, word for word. Those that were not recorded are marked so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.apiserver.shapes import go_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.apiserver.shapes import Resource


class Failure(Exception):
    """An answer that is not what was asked for."""

    def __init__(
        self,
        code: int,
        body: bytes,
        *,
        headers: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> None:
        super().__init__(code, body)
        self.code = code
        self.body = body
        self.headers = dict(headers or {})
        self.content_type = content_type


def status(code: int, message: str, reason: str = "", *, details: Any = None, metadata: Any = None) -> dict[str, Any]:
    said = {"kind": "Status", "apiVersion": "v1", "metadata": metadata or {}, "status": "Failure", "message": message}
    said |= {"reason": reason} if reason else {}
    said |= {"details": details} if details else {}
    return said | {"code": code}


def failure(
    code: int, message: str, reason: str = "", *, headers: Mapping[str, str] | None = None, **more: Any
) -> Failure:
    return Failure(code, go_json(status(code, message, reason, **more)) + b"\n", headers=headers)


def unauthorized() -> Failure:
    return failure(401, "Unauthorized", "Unauthorized")


def forbidden(user: str, verb: str, resource: Resource, namespace: str) -> Failure:
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    cannot = f'User "{user}" cannot {verb} resource "{resource.name}" in API group "{resource.group}" {where}'
    details = {"group": resource.group} if resource.group else {}
    return failure(
        403,
        f"{resource.qualified_name} is forbidden: {cannot}",
        "Forbidden",
        details=details | {"kind": resource.name},
        headers={"X-Content-Type-Options": "nosniff"},
    )


def expired_continue(token: str) -> Failure:
    return failure(
        410,
        "The provided continue parameter is too old to display a consistent list result. You can start a new list "
        "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
        "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
        "modified, or deleted between the time the first chunk was returned and now may show up in the list.",
        "Expired",
        metadata={"continue": token},
    )


def expired_list() -> Failure:
    """Not recorded."""
    return failure(410, "The resourceVersion for the provided list is too old.", "Expired")


def expired_watch(version: int, oldest: int) -> dict[str, Any]:
    """It comes as an event, after 200."""
    return status(410, f"too old resource version: {version} ({oldest})", "Expired")


def too_large(version: int, current: int) -> Failure:
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    return failure(
        504,
        f"Timeout: Too large resource version: {version}, current: {current}",
        "Timeout",
        details={"causes": causes, "retryAfterSeconds": 1},
        headers={"Retry-After": "1"},
    )


def not_a_version(text: str) -> Failure:
    parsing = f'strconv.ParseUint: parsing "{text}": invalid syntax'
    return failure(500, f'resourceVersion: Invalid value: "{text}": {parsing}')


def invalid_options(causes: list[tuple[str, str]]) -> Failure:
    """Each cause is a field and why it is forbidden."""
    said = [f"{field}: Forbidden: {why}" for field, why in causes]
    details = {
        "group": "meta.k8s.io",
        "kind": "ListOptions",
        "causes": [
            {"reason": "FieldValueForbidden", "message": f"Forbidden: {why}", "field": field} for field, why in causes
        ],
    }
    message = said[0] if len(said) == 1 else f"[{', '.join(said)}]"
    return failure(422, f'ListOptions.meta.k8s.io "" is invalid: {message}', "Invalid", details=details)


def bad_request(message: str) -> Failure:
    """Not recorded."""
    return failure(400, message, "BadRequest")


def not_found(resource: Resource | None = None, name: str = "") -> Failure:
    """Not recorded."""
    if resource is None:
        return failure(404, "the server could not find the requested resource", "NotFound", details={})
    details = {"name": name} | ({"group": resource.group} if resource.group else {}) | {"kind": resource.name}
    return failure(404, f'{resource.qualified_name} "{name}" not found', "NotFound", details=details)


def method_not_allowed() -> Failure:
    """Not recorded."""
    return failure(405, "the server does not allow this method on the requested resource", "MethodNotAllowed")


def trouble(code: int, retry_after: float | None = None) -> Failure:
    """What an overloaded or a stopping server says; not recorded."""
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    if code == 429:
        headers |= {"X-Content-Type-Options": "nosniff"}
        text = b"Too many requests, please try again later.\n"
        return Failure(429, text, headers=headers, content_type="text/plain; charset=utf-8")
    if code == 503:
        return failure(503, "apiserver is shutting down", "ServiceUnavailable", headers=headers)
    return failure(code, "etcdserver: leader changed", headers=headers)
