"""The storage family for Azure: Table Storage, Storage Queues and Key Vault, through Microsoft's own clients.

Each port holds one client for the life of the process. A client opens its connections on the first request, in the
event loop of that request, so the ports may be made outside of it.

The clients log every request at level INFO: whoever sets up logging puts the loggers
``azure.core.pipeline.policies.http_logging_policy`` and ``azure.identity`` at WARNING.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from azure.data.tables.aio import TableServiceClient
from azure.keyvault.secrets.aio import SecretClient
from azure.storage.queue.aio import QueueServiceClient

from functions.storage.azure.queues import AzureQueues
from functions.storage.azure.secrets import AzureSecrets
from functions.storage.azure.tables import AzureTables
from functions.storage.ports import Place, Storage

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

    from functions.storage.ports import Secrets

__all__ = ["open_azure", "open_azure_queues", "open_azure_tables", "open_key_vault"]

RETRIES: Final = 3
"""Tries after the first; a function has little time, and the queue that called it brings the work back."""
_TIMEOUTS: Final[dict[str, Any]] = {"connection_timeout": 5, "read_timeout": 10}
"""Seconds; the clients wait 300 and more by default."""
_CORE_RETRIES: Final[dict[str, Any]] = {"retry_total": RETRIES, "retry_backoff_factor": 0.4}
"""Waits of 0, 0.8 and 1.6 seconds."""
_QUEUE_RETRIES: Final[dict[str, Any]] = {
    "retry_total": RETRIES,
    "initial_backoff": 0,
    "increment_base": 1,
    "random_jitter_range": 1,
}
"""Waits of 0 to 2 seconds each, drawn by lot; the client's default begins with 15."""
TABLES_ROLE: Final = "Storage Table Data Contributor"
QUEUES_ROLE: Final = "Storage Queue Data Contributor"
SECRETS_ROLE: Final = "Key Vault Secrets Officer"
"""The roles the app's identity needs: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles."""


def open_azure(
    *,
    vault_url: str = "",
    secrets: Secrets | None = None,
    connection_string: str = "",
    table_url: str = "",
    queue_url: str = "",
    credential: AsyncTokenCredential | None = None,
) -> Storage:
    """Return the three ports over Azure.

    Tables and queues are reached by a connection string or by service addresses and a credential; secrets by the
    address of a vault and the credential, unless another ``secrets`` port is given.

    Args:
        vault_url: ``https://NAME.vault.azure.net``.
        secrets: A secrets port to use instead of Key Vault; it is closed with the rest.
        connection_string: The storage account's, with its key.
        table_url: ``https://ACCOUNT.table.core.windows.net``.
        queue_url: ``https://ACCOUNT.queue.core.windows.net``.
        credential: An asynchronous token credential. Who made it closes it.

    Raises:
        ValueError: Neither a connection string nor both addresses and a credential are given, or no place for secrets.
    """
    if secrets is None:
        if not vault_url or credential is None:
            raise ValueError("secrets need a vault_url and a credential, or a secrets port")
        secrets = open_key_vault(vault_url, credential)
    return Storage(
        open_azure_tables(connection_string=connection_string, table_url=table_url, credential=credential),
        open_azure_queues(connection_string=connection_string, queue_url=queue_url, credential=credential),
        secrets,
    )


def open_azure_tables(
    *, connection_string: str = "", table_url: str = "", credential: AsyncTokenCredential | None = None
) -> AzureTables:
    """Return the tables port over Table Storage, by a connection string or by an address and a credential.

    Raises:
        ValueError: Neither is given.
    """
    options = _CORE_RETRIES | _TIMEOUTS
    if connection_string:
        client = TableServiceClient.from_connection_string(connection_string, **options)
        return AzureTables(client, _place(client.url))
    if not table_url or credential is None:
        raise ValueError("tables need a connection_string, or a table_url and a credential")
    return AzureTables(TableServiceClient(table_url, credential=credential, **options), _place(table_url, TABLES_ROLE))


def open_azure_queues(
    *, connection_string: str = "", queue_url: str = "", credential: AsyncTokenCredential | None = None
) -> AzureQueues:
    """Return the queues port over Storage Queues, by a connection string or by an address and a credential.

    Raises:
        ValueError: Neither is given.
    """
    options = _QUEUE_RETRIES | _TIMEOUTS
    if connection_string:
        client = QueueServiceClient.from_connection_string(connection_string, **options)
        return AzureQueues(client, _place(client.url))
    if not queue_url or credential is None:
        raise ValueError("queues need a connection_string, or a queue_url and a credential")
    return AzureQueues(QueueServiceClient(queue_url, credential=credential, **options), _place(queue_url, QUEUES_ROLE))


def open_key_vault(
    vault_url: str,
    credential: AsyncTokenCredential,
    *,
    verify_challenge_resource: bool = True,
    connection_verify: bool | str = True,
) -> AzureSecrets:
    """Return the secrets port over Key Vault.

    Args:
        vault_url: ``https://NAME.vault.azure.net``.
        credential: An asynchronous token credential. Who made it closes it.
        verify_challenge_resource: Whether the vault must be of the domain it asks a token for; off only for a stand-in.
        connection_verify: Whether to check the server's certificate, or the file of the authorities to trust.
    """
    return AzureSecrets(
        SecretClient(
            vault_url,
            credential,
            verify_challenge_resource=verify_challenge_resource,
            connection_verify=connection_verify,
            **_CORE_RETRIES,
            **_TIMEOUTS,
        ),
        _place(vault_url, SECRETS_ROLE),
    )


def _place(url: str, role: str = "") -> Place:
    """Return where a service is; the query of its address may be a signature and is left out."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    address = f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")
    # Azurite and other stand-ins have the account in the path instead of the host name.
    return Place(parts.path.strip("/") or host.partition(".")[0], address, role)
