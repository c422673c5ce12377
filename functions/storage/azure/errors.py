"""What Azure's clients raise, in the words of the ports."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from azure.core.exceptions import AzureError, HttpResponseError, ServiceRequestError, ServiceResponseError

from functions.storage.ports import Fault, StorageError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterator

# https://learn.microsoft.com/rest/api/storageservices/table-service-error-codes and the common ones beside them.
TOO_LARGE_CODES = frozenset(
    {"EntityTooLarge", "PropertyValueTooLarge", "RequestBodyTooLarge", "TooManyProperties", "MessageTooLarge"}
)
HTTP_CONTENT_TOO_LARGE = 413
HTTP_REFUSALS = frozenset({401, 403})
_NETWORK = "Let the app through its firewall: network rules, or a private endpoint."
_KEY = "The key in AzureWebJobsStorage is wrong or was rotated: set the present one."
REMEDIES: Final = {
    "AuthorizationFailure": _NETWORK,
    "ForbiddenByFirewall": _NETWORK,
    "ForbiddenByConnection": _NETWORK,
    "ForbiddenByPolicy": "The vault has access policies: let the app's identity get, set and delete secrets.",
    "AuthenticationFailed": _KEY,
    "KeyBasedAuthenticationNotPermitted": "It takes identities alone: set AzureWebJobsStorage__accountName and no key.",
    "AccountIsDisabled": "The account is disabled: enable it.",
}
"""What to do about a refusal, by the service's code; any other means that a role is missing.

Sources: https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes,
https://learn.microsoft.com/troubleshoot/azure/azure-storage/blobs/authentication/storage-troubleshoot-403-errors and
https://learn.microsoft.com/azure/key-vault/general/rest-error-codes.
"""
_NO_IDENTITY = "Give the app a managed identity; for a user-assigned one set AzureWebJobsStorage__clientId."


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
        if error.status_code is None:
            raise StorageError(
                f"{service} was not asked: {type(error).__name__}", fault=Fault.REFUSED, remedy=_NO_IDENTITY
            ) from error
        fault = Fault.REFUSED if error.status_code in HTTP_REFUSALS else Fault.FAILED
        remedy = REMEDIES.get(inner_code_of(error), REMEDIES.get(code, "")) if fault is Fault.REFUSED else ""
        raise StorageError(f"{service} answered {error.status_code} {code}", fault=fault, remedy=remedy) from error
    except (ServiceRequestError, ServiceResponseError) as error:
        raise StorageError(f"{service} did not answer: {type(error).__name__}", fault=Fault.UNREACHABLE) from error
    except AzureError as error:
        raise StorageError(f"{service} did not answer: {type(error).__name__}") from error


def code_of(error: HttpResponseError) -> str:
    """Return the service's code for the error, such as ``TableNotFound``, or an empty text."""
    code = getattr(error, "error_code", None)  # queues, and tables most of the time
    if code is None and error.error is not None:
        code = error.error.code  # Key Vault
    return str(getattr(code, "value", code) or _code_in_body(error))


def inner_code_of(error: HttpResponseError) -> str:
    """Return Key Vault's second code, such as ``ForbiddenByRbac`` inside ``Forbidden``, or an empty text."""
    inner = getattr(error.error, "innererror", None)
    return str(inner.get("code", "")) if isinstance(inner, dict) else ""


def _code_in_body(error: HttpResponseError) -> str:
    """Return the code from the body, which the tables client leaves there when the insert of a single row fails."""
    with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError):
        return str(error.response.json()["odata.error"]["code"])  # type: ignore[union-attr] # no response: no code
    return ""
