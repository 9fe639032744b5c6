"""Why a storage call failed, in a few words for a log line: kinds, codes and the system's own words.

The texts of HTTP libraries stay out, since they hold whole URLs, and with them whatever a setting put there.
"""

import re

from azure.core.exceptions import AzureError, HttpResponseError

_LONGEST = 200  # characters
_HTTP_LIBRARIES = ("requests", "urllib3", "http")


def reason(error: BaseException) -> str:
    """What went wrong, on one line: the error's kind, the service's status and code, or what the system said."""
    words = [type(error).__name__]
    if isinstance(error, HttpResponseError):
        code = getattr(error, "error_code", None)
        words += [str(part) for part in (error.status_code, getattr(code, "value", code)) if part]
    elif isinstance(error, AzureError) or type(error).__module__.partition(".")[0] in _HTTP_LIBRARIES:
        words += _system(error)
    else:
        words.append(str(error))
    text = ": ".join((words[0], " ".join(words[1:]))).removesuffix(": ")
    return " ".join(re.sub(r"[^ -~]+", " ", text).split())[:_LONGEST]


def _system(error: BaseException) -> list[str]:
    """What the operating system or the TLS library said, where that is the cause."""
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        seen.append(cause)
        if isinstance(cause, OSError) and cause.strerror:
            return [str(cause.strerror)]
        inner = getattr(cause, "inner_exception", None) or getattr(cause, "reason", None)
        cause = inner if isinstance(inner, BaseException) else cause.__cause__ or cause.__context__
    return []
