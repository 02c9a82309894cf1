"""A probe over gRPC: grpc.health.v1.Health/Check, in plain text as a kubelet asks it.

Its two messages have one field each, so they are written and read here, and take no compiler of protocol buffers.
Unlike a kubelet's, the user agent is grpclib's own: it lets nobody change it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from grpclib.client import Channel, Handler, UnaryUnaryMethod
from grpclib.const import Status
from grpclib.encoding.base import CodecBase
from grpclib.exceptions import GRPCError, StreamTerminatedError
from grpclib.protocol import H2Protocol

from clusterdns.probes.probe import Outcome

if TYPE_CHECKING:
    from clusterdns.probes.probe import GrpcHealth

MOST_BYTES = 16 << 10
"""Of what a server sends to one probe: an answer takes a hundredth of it, and each frame takes our time."""
SERVING = 1
_STATUSES = {0: "UNKNOWN", SERVING: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
_SERVICE = b"\x0a"
"""Field 1, a string with its length in front."""
_STATUS = b"\x08"
"""Field 1, a number."""


class Malformed(ValueError):
    """What came is no HealthCheckResponse."""

    def __init__(self) -> None:
        super().__init__("the answer is no HealthCheckResponse")


async def outcome(request: GrpcHealth, address: str) -> Outcome:
    """Raises OSError."""
    async with _Channel(address, request.port, codec=_Health()) as channel:
        check = UnaryUnaryMethod[str, int](channel, "/grpc.health.v1.Health/Check", str, int)
        try:
            status = await check(request.service)
        except GRPCError as error:
            if error.status is Status.UNIMPLEMENTED:
                return Outcome(is_success=False, text="the server does not implement grpc.health.v1.Health")
            message = f": {error.message}" if error.message else ""
            return Outcome(is_success=False, text=f"{error.status.name}{message}")
        except (StreamTerminatedError, Malformed) as error:
            return Outcome(is_success=False, text=str(error).lower())
        return Outcome(status == SERVING, _STATUSES.get(status, str(status)))


class _Channel(Channel):
    def _protocol_factory(self) -> H2Protocol:
        return _Bounded(Handler(), self._config, self._h2_config)


class _Bounded(H2Protocol):
    """Takes so many bytes, and no more."""

    _left = MOST_BYTES

    def data_received(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left >= 0:
            super().data_received(data)
        else:
            self.processor.close(f"more than {MOST_BYTES} bytes")


class _Health(CodecBase):
    """A service's name as a HealthCheckRequest, and a HealthCheckResponse as the number of its status."""

    __content_subtype__ = "proto"

    def encode(self, message: str, message_type: object) -> bytes:
        del message_type
        name = message.encode()
        return _SERVICE + _varint(len(name)) + name if name else b""

    def decode(self, data: bytes, message_type: object) -> int:
        """A field that is missing is zero (proto3). Raises Malformed."""
        del message_type
        if not data:
            return 0
        if len(data) != 2 or data[:1] != _STATUS:
            raise Malformed
        return data[1]


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    return bytes([*written, number])
