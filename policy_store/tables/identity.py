"""The app's managed identity: one credential for all tables, which forgets a token that the service refuses.

azure-identity keeps a token until the time that it was issued with, and hands it out again even when the service has
answered 401 to it.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

from azure.core.credentials import AccessToken, TokenCredential

_PAUSE = 2.0  # seconds between two tokens that are forgotten: one that is rightly refused is not asked for at each read


class AppIdentity:
    """A TokenCredential over what `make` returns. May be shared between clients and threads."""

    def __init__(self, make: Callable[[], TokenCredential]) -> None:
        self._make = make
        self._credential = make()
        self._forgotten_at = -_PAUSE
        self._lock = threading.Lock()

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """A token for the scopes. Raises what the credential raises."""
        return self._credential.get_token(*scopes, **options)

    def forget(self) -> None:
        """Have the next token asked for again: the service refused the last one."""
        with self._lock:
            now = time.monotonic()
            if now - self._forgotten_at >= _PAUSE:
                self._forgotten_at = now
                self._credential = self._make()
