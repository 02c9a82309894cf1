"""What queries come through before a block answers them: cookies, and the limit of responses to a client network."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING

from clusterdns import config
from clusterdns.around.cookies import refused_for_cookie, telling_cookies
from clusterdns.around.rate_limit import Limiter, truncated
from clusterdns.around.server_cookies import NotASecret, ServerCookies, secret
from clusterdns.around.siphash import KEY_BYTES
from clusterdns.contents import content

if TYPE_CHECKING:
    from collections.abc import Callable

    from clusterdns.config import Config
    from clusterdns.server import Respond

_OWN_SECRET = secrets.token_bytes(KEY_BYTES)
"""For as long as this process lives, unless it is told one."""


class Front:
    """As the settings have it. Raises BadConfig for a file of secrets that is no good.

    former: the one before, which knows what was sent to whom.
    """

    def __init__(self, settings: Config, former: Front | None = None) -> None:
        self.limit = settings.rate_limit
        self._secrets = _secrets(settings.cookies)
        self._cookies = ServerCookies(self._secrets, time.time) if settings.cookies.enabled else None
        self.limiter = Limiter(settings.rate_limit, time.monotonic) if settings.rate_limit.is_on else None
        if former is not None and former.limit == self.limit:
            self.limiter = former.limiter

    def unfamiliar(self, *, stream: bool) -> Callable[[Respond, Respond], Respond] | None:
        """What a responder does with packets that it does not know, so that it tells cookies by itself."""
        cookies = self._cookies
        if cookies is None or self._limiter(stream=stream):
            return None
        return lambda whole, slowly: telling_cookies(slowly, cookies, stream=stream, unproven=whole, proven=whole)

    def telling(self, respond: Respond, *, stream: bool) -> Respond:
        """The responder, that tells cookies where what answers within has not all the say about its replies."""
        if self._cookies is None or self._limiter(stream=stream):
            return respond
        return telling_cookies(respond, self._cookies, stream=stream, unproven=respond, proven=respond)

    def before(self, respond: Respond, *, stream: bool) -> Respond:
        """The responder within the limits. They are not for cookies that are right, which are told here then."""
        limiter = self._limiter(stream=stream)
        if limiter is None:
            return respond
        limited = limiter.limited(respond, truncated)
        if self._cookies is None:
            return limited
        unproven = limiter.limited(respond, refused_for_cookie)
        return telling_cookies(limited, self._cookies, stream=stream, unproven=unproven, proven=respond)

    def _limiter(self, *, stream: bool) -> Limiter | None:
        return None if stream else self.limiter


def files(settings: Config) -> tuple[Path, ...]:
    """Those that it is made of."""
    return (Path(settings.cookies.file),) if settings.cookies.file else ()


def _secrets(given: config.Cookies) -> tuple[bytes, ...]:
    """Raises BadConfig."""
    texts = list(given.secrets)
    if given.file:
        try:
            lines = content(Path(given.file)).decode().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "expected text"
            raise config.BadConfig(f"cookies.file: {given.file}: {reason}") from error
        texts = [word for line in lines if (word := line.partition("#")[0].strip())]
        if not texts:
            raise config.BadConfig(f"cookies.file: {given.file}: expected at least one secret")
    try:
        return tuple(map(secret, texts)) or (_OWN_SECRET,)
    except NotASecret as error:
        raise config.BadConfig(f"cookies.file: {given.file}: {error}") from error
