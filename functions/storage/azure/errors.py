"""What Azure's clients raise, in the words of the ports."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from azure.core.exceptions import AzureError, HttpResponseError

from functions.storage.ports import StorageError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterator

# https://learn.microsoft.com/rest/api/storageservices/table-service-error-codes and the common ones beside them.
TOO_LARGE_CODES = frozenset(
    {"EntityTooLarge", "PropertyValueTooLarge", "RequestBodyTooLarge", "TooManyProperties", "MessageTooLarge"}
)
HTTP_CONTENT_TOO_LARGE = 413


@contextlib.contextmanager
def translated(service: str) -> Iterator[None]:
    """Raise what a client raises as an error of the ports, without the server's text, which may repeat our data.

    Args:
        service: The service's name for the error's text.

    Raises:
        TooLargeError: The service refused the size.
        StorageError: It refused for another reason or did not answer.
    """
    try:
        yield
    except HttpResponseError as error:
        code = code_of(error)
        if error.status_code == HTTP_CONTENT_TOO_LARGE or code in TOO_LARGE_CODES:
            raise TooLargeError(f"{service} refused the size: {code}") from error
        raise StorageError(f"{service} answered {error.status_code} {code}") from error
    except AzureError as error:
        raise StorageError(f"{service} did not answer: {type(error).__name__}") from error


def code_of(error: HttpResponseError) -> str:
    """Return the service's code for the error, such as ``TableNotFound``, or an empty text."""
    code = getattr(error, "error_code", None)  # queues, and tables most of the time
    if code is None and error.error is not None:
        code = error.error.code  # Key Vault
    return str(getattr(code, "value", code) or _code_in_body(error))


def _code_in_body(error: HttpResponseError) -> str:
    """Return the code from the body, which the tables client leaves there when the insert of a single row fails."""
    with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError):
        return str(error.response.json()["odata.error"]["code"])  # type: ignore[union-attr] # no response: no code
    return ""
