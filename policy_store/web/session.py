"""Who may use the page: whoever brings the token that the terminal shows, once, and from then on their browser."""

import hmac
import secrets
from threading import Lock

_BYTES = 32


class Session:
    """The one session of a page: a token that opens it once, a cookie from then on, and a token for every form."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(_BYTES)
        self.csrf = secrets.token_urlsafe(_BYTES)
        self._cookie = secrets.token_urlsafe(_BYTES)
        self._opened = False
        self._lock = Lock()

    def open(self, token: str) -> str | None:
        """The cookie for whoever brings the token for the first time, None for everybody else."""
        with self._lock:
            if self._opened or not _same(token, self.token):
                return None
            self._opened = True
            return self._cookie

    @property
    def opened(self) -> bool:
        """Whether the token has been used."""
        return self._opened

    def knows(self, cookie: str) -> bool:
        """Whether a request with this cookie comes from the browser that brought the token."""
        return self._opened and _same(cookie, self._cookie)

    def wrote(self, csrf: str) -> bool:
        """Whether a form with this token was in a page of this session."""
        return _same(csrf, self.csrf)


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())
