"""No secret is told, whoever quotes it."""

from __future__ import annotations

import pytest

from clusterdns.redaction import redacted

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://admin:hunter2@192.0.2.1:6443/api", "https://***@192.0.2.1:6443/api"),
        ("Authorization: Bearer abc", "Authorization: ***"),
        ("{'Authorization': 'Basic YWRtaW46aHVudGVyMg=='}", "{'Authorization': '***'}"),
        ("sent Bearer s3cret-t0ken to it", "sent Bearer *** to it"),
        ("sent Basic YWRtaW46aHVudGVyMg== to it", "sent Basic *** to it"),
        (f"is {TOKEN} a token?", "is *** a token?"),
        ('{"token": "s3cret", "code": 1}', '{"token": "***", "code": 1}'),
        ("client-key-data: LS0tLS1CRUdJTg==", "client-key-data: ***"),
        ("password=hunter2; user=admin", "password=***; user=admin"),
        ("a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nb", "a\n***\nb"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE", "***"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, expected: str) -> None:
    assert redacted(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "tls.key: /etc/tls.key: expected a private key in PEM",
        "Basic authentication is off",
        'services is forbidden: User "system:anonymous" cannot list resource "services"',
        "upstream tls://192.0.2.1:853#dns.example.org does not answer: silent",
        "api-key: it takes api-certificate",
        "http://192.0.2.1/a@b",
    ],
)
def test_what_does_not_is_told(text: str) -> None:
    assert redacted(text) == text


def test_known_secrets_are_hidden_the_longest_first() -> None:
    assert redacted("it was s3cret-t0ken, or s3cret", ["s3cret", "s3cret-t0ken"]) == "it was ***, or ***"


def test_what_is_too_short_to_be_one_is_told() -> None:
    assert redacted("a b", ["", "a"]) == "a b"
