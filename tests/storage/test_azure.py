"""What only the Azure family has to care for: lost answers, throttling, foreign messages, the vault's challenge."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

import pytest
from azure.storage.queue.aio import QueueServiceClient
from hypothesis import given
from hypothesis import strategies as st

import functions.storage.azure as family
from functions.storage.azure import open_azure, open_azure_queues, open_azure_tables, open_key_vault
from functions.storage.azure import secrets as azure_secrets
from functions.storage.azure import tables as azure_tables
from functions.storage.azure.queues import _decode
from functions.storage.ports import Fault, Row, StaleError, StorageError, TooLargeError
from tests.servers import free_port

if TYPE_CHECKING:
    from functions.storage.ports import Storage
    from tests.storage.conftest import Proxied
    from tests.storage.vault import HandedOutToken, Vault

LOSSES = pytest.mark.parametrize("as_status", [0, 500, 503, 504], ids=["broken", "500", "503", "504"])


async def values(storage: Storage, table: str) -> dict[str, object]:
    return {row.key: row.values.get("by") async for row in storage.tables.query(table, "p")}


# Lost answers


@LOSSES
@pytest.mark.parametrize("count", [1, 100])
async def test_an_insert_whose_answer_was_lost_is_ours(
    proxied: Proxied, table: str, count: int, as_status: int
) -> None:
    """Rows that went in before the connection broke are reported as inserted, and are there once."""
    await proxied.storage.tables.insert(table, [Row("p", "first")])
    proxied.tables.lose, proxied.tables.method, proxied.tables.as_status = 1, "POST", as_status
    rows = [Row("p", f"k{n}", {"by": "us"}) for n in range(count)]

    inserted = await proxied.storage.tables.insert(table, rows)

    assert proxied.tables.lose == 0
    assert inserted == {row.key for row in rows}
    assert await values(proxied.storage, table) == {"first": None} | {row.key: "us" for row in rows}


@LOSSES
async def test_a_lost_answer_does_not_make_ours_what_was_there(proxied: Proxied, table: str, as_status: int) -> None:
    """If the answer that told of a row of somebody else is lost, the row still is not ours."""
    await proxied.storage.tables.insert(table, [Row("p", "claim", {"by": "them"})])
    proxied.tables.lose, proxied.tables.method, proxied.tables.as_status = 1, "POST", as_status

    assert await proxied.storage.tables.insert(table, [Row("p", "claim", {"by": "us"})]) == frozenset()

    assert proxied.tables.lose == 0
    assert await values(proxied.storage, table) == {"claim": "them"}


@pytest.mark.parametrize("after", [0, 1])
async def test_a_mixed_insert_survives_lost_answers(proxied: Proxied, table: str, after: int) -> None:
    """With rows of theirs among ours, losing the first or the second answer changes nothing in what is reported."""
    await proxied.storage.tables.insert(table, [Row("p", key, {"by": "them"}) for key in "bd"])
    proxied.tables.lose, proxied.tables.method, proxied.tables.after = 1, "POST", after

    inserted = await proxied.storage.tables.insert(table, [Row("p", key, {"by": "us"}) for key in "abcde"])

    assert proxied.tables.lose == 0
    assert inserted == {"a", "c", "e"}
    assert await values(proxied.storage, table) == {"a": "us", "b": "them", "c": "us", "d": "them", "e": "us"}


@pytest.mark.parametrize("after", [0, 1, 2])
async def test_the_first_insert_into_a_table_survives_lost_answers(proxied: Proxied, table: str, after: int) -> None:
    """Whichever answer is lost while a table is being made, the row is inserted and ours."""
    proxied.tables.lose, proxied.tables.method, proxied.tables.after = 1, "POST", after

    assert await proxied.storage.tables.insert(table, [Row("p", "k", {"by": "us"})]) == {"k"}

    assert proxied.tables.lose == 0
    assert await values(proxied.storage, table) == {"k": "us"}


async def test_of_inserts_that_lose_answers_one_wins(proxied: Proxied, table: str) -> None:
    """Ten tasks insert one key while answers get lost: one is told that it did, and its values are there."""
    await proxied.storage.tables.insert(table, [Row("p", "first")])
    proxied.tables.lose, proxied.tables.method = 4, "POST"

    answers = await asyncio.gather(
        *(proxied.storage.tables.insert(table, [Row("p", "k", {"by": who})]) for who in range(10))
    )

    winners = [who for who, inserted in enumerate(answers) if inserted]
    assert proxied.tables.lose == 0
    assert await values(proxied.storage, table) == {"first": None, "k": winners[0]}
    assert len(winners) == 1


async def test_an_insert_that_never_hears_an_answer_fails(
    proxied: Proxied, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When every answer is lost the insert raises, having tried four times; the row may be there."""
    monkeypatch.setattr(azure_tables, "LOST_ANSWER_DELAYS", (0, 0, 0))
    await proxied.storage.tables.insert(table, [Row("p", "first")])
    proxied.tables.forwarded.clear()
    proxied.tables.lose, proxied.tables.method = 100, "POST"

    with pytest.raises(StorageError, match="did not answer"):
        await proxied.storage.tables.insert(table, [Row("p", "k", {"by": "us"})])

    assert len(proxied.tables.forwarded) == 4
    assert await values(proxied.storage, table) == {"first": None, "k": "us"}


@LOSSES
async def test_a_replace_whose_answer_was_lost_succeeds(proxied: Proxied, table: str, as_status: int) -> None:
    """A replace that went through before the connection broke returns the new version, good for the next replace."""
    await proxied.storage.tables.insert(table, [Row("p", "k", {"by": "first"})])
    row = await proxied.storage.tables.get(table, "p", "k")
    assert row is not None
    proxied.tables.lose, proxied.tables.method, proxied.tables.as_status = 1, "PUT", as_status

    second = await proxied.storage.tables.replace(table, replace(row, values={"by": "second"}))

    assert proxied.tables.lose == 0
    assert await proxied.storage.tables.get(table, "p", "k") == second
    await proxied.storage.tables.replace(table, replace(second, values={"by": "third"}))


async def test_a_lost_answer_does_not_make_a_stale_replace_succeed(proxied: Proxied, table: str) -> None:
    """A replace of an old version stays stale when its answer is lost."""
    await proxied.storage.tables.insert(table, [Row("p", "k", {"by": "first"})])
    row = await proxied.storage.tables.get(table, "p", "k")
    assert row is not None
    await proxied.storage.tables.replace(table, replace(row, values={"by": "second"}))
    proxied.tables.lose, proxied.tables.method = 1, "PUT"

    with pytest.raises(StaleError):
        await proxied.storage.tables.replace(table, replace(row, values={"by": "third"}))

    assert proxied.tables.lose == 0
    assert await values(proxied.storage, table) == {"k": "second"}


async def test_a_delete_whose_answer_was_lost_deletes(proxied: Proxied, table: str) -> None:
    """The row is gone; whether it was there cannot be told any more."""
    await proxied.storage.tables.insert(table, [Row("p", "k")])
    proxied.tables.lose, proxied.tables.method = 1, "DELETE"

    await proxied.storage.tables.delete(table, "p", "k")

    assert proxied.tables.lose == 0
    assert await values(proxied.storage, table) == {}


@LOSSES
async def test_a_change_whose_answer_was_lost_is_seen_by_reading_again(
    proxied: Proxied, table: str, as_status: int
) -> None:
    """Whoever changed rows and heard nothing is told so, and finds on reading that all of it was done."""
    await proxied.storage.tables.insert(table, [Row("p", key, {"by": "first"}) for key in "abc"])
    rows = [row async for row in proxied.storage.tables.query(table, "p")]
    proxied.tables.lose, proxied.tables.method, proxied.tables.as_status = 1, "POST", as_status

    with pytest.raises((StaleError, StorageError)):
        await proxied.storage.tables.change(table, replaced=[replace(rows[0], values={"by": "us"})], deleted=rows[1:2])

    assert proxied.tables.lose == 0
    assert await values(proxied.storage, table) == {"a": "us", "c": "first"}


async def test_a_put_whose_answer_was_lost_puts_at_least_once(proxied: Proxied, queue: str) -> None:
    """A message whose put lost its answer is there, perhaps twice."""
    await proxied.storage.queues.put(queue, "first")
    proxied.queues.lose, proxied.queues.method = 1, "POST"

    await proxied.storage.queues.put(queue, "second")

    assert proxied.queues.lose == 0
    items = await proxied.storage.queues.receive(queue, limit=32, visibility=30)
    assert {item.body for item in items} == {"first", "second"}


async def test_nobody_there_is_a_storage_error(
    vault: Vault, credential: HandedOutToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a server every operation raises a StorageError that repeats none of the data."""
    monkeypatch.setattr(family, "_CORE_RETRIES", {"retry_total": 0})
    monkeypatch.setattr(family, "_QUEUE_RETRIES", {"retry_total": 0})
    monkeypatch.setattr(azure_tables, "LOST_ANSWER_DELAYS", ())
    nowhere = f"http://127.0.0.1:{free_port()}/account"
    connection_string = f"AccountName=account;AccountKey=a2V5;TableEndpoint={nowhere};QueueEndpoint={nowhere}"
    gone = open_key_vault(
        f"https://127.0.0.1:{free_port()}", credential, verify_challenge_resource=False, connection_verify=vault.ca_file
    )
    storage = open_azure(connection_string=connection_string, secrets=gone)
    row = Row("canary", "canary", {"canary": "canary"}, etag='W/"1"')
    calls = {
        "insert": storage.tables.insert("table", [row]),
        "insert two": storage.tables.insert("table", [row, Row("canary", "canary2")]),
        "get": storage.tables.get("table", "canary", "canary"),
        "query": anext(aiter(storage.tables.query("table", "canary"))),
        "scan": anext(aiter(storage.tables.scan("table", first="canary", last="canary"))),
        "replace": storage.tables.replace("table", row),
        "change": storage.tables.change("table", deleted=[row]),
        "delete": storage.tables.delete("table", "canary", "canary"),
        "put": storage.queues.put("queue", "canary"),
        "receive": storage.queues.receive("queue", limit=1, visibility=1),
        "length": storage.queues.length("queue"),
        "secret set": storage.secrets.set("name", "canary"),
        "secret get": storage.secrets.get("name"),
        "secret delete": storage.secrets.delete("name"),
    }

    answers = dict(zip(calls, await asyncio.gather(*calls.values(), return_exceptions=True), strict=True))
    await storage.close()

    assert {name: type(answer) for name, answer in answers.items()} == dict.fromkeys(calls, StorageError)
    assert {answer.fault for answer in answers.values()} == {Fault.UNREACHABLE}
    assert not [name for name, answer in answers.items() if "canary" in str(answer)]


@pytest.mark.parametrize(("status", "error"), [(413, TooLargeError), (403, StorageError), (409, StorageError)])
async def test_a_refusal_comes_in_the_words_of_the_ports(
    proxied: Proxied, table: str, queue: str, status: int, error: type[Exception]
) -> None:
    """An answer that the size is wrong is a TooLargeError, any other refusal a StorageError, on every write."""
    storage = proxied.storage
    await storage.tables.insert(table, [Row("p", "k")])
    await storage.queues.put(queue, "a")
    row = await storage.tables.get(table, "p", "k")
    (item,) = await storage.queues.receive(queue, limit=1, visibility=30)
    assert row is not None
    for proxy in (proxied.tables, proxied.queues):
        proxy.lose, proxy.as_status = 100, status

    answers = await asyncio.gather(
        storage.tables.insert(table, [Row("p", "l")]),
        storage.tables.insert(table, [Row("p", "m"), Row("p", "n")]),
        storage.tables.replace(table, row),
        storage.tables.change(table, replaced=[row]),
        storage.tables.delete(table, "p", "k"),
        storage.queues.put(queue, "b"),
        storage.queues.extend(queue, item, visibility=30),
        storage.queues.delete(queue, item),
        return_exceptions=True,
    )

    assert [type(answer) for answer in answers] == [error] * 8
    if error is StorageError:
        assert {answer.fault for answer in answers} == {Fault.REFUSED if status == 403 else Fault.FAILED}


# Requests


async def test_a_range_of_partitions_is_asked_for_by_ge_and_le(proxied: Proxied, table: str) -> None:
    """A scan's filter names the range only, since an ``or`` would read the whole table."""
    await proxied.storage.tables.insert(table, [Row("2026-01-01", "a"), Row("2026-01-01", "b")])
    proxied.tables.forwarded.clear()

    found = [row.key async for row in proxied.storage.tables.scan(table, first="2026-01-01", last="2026-01-31")]

    assert found == ["a", "b"]
    ((_, path),) = proxied.tables.forwarded
    assert "$filter=PartitionKey ge '2026-01-01' and PartitionKey le '2026-01-31'" in unquote_plus(path)


async def test_an_insert_is_one_request_in_normal_life(proxied: Proxied, table: str) -> None:
    """One row or a hundred go in with one request, conflicts cost one to look and one for the rest."""
    await proxied.storage.tables.insert(table, [Row("p", "k000")])
    requests = []
    for rows in (
        [Row("p", "single")],
        [Row("q", f"k{n:03}") for n in range(100)],
        [Row("p", "single")],
        [Row("p", f"k{n:03}") for n in range(100)],
    ):
        proxied.tables.forwarded.clear()
        await proxied.storage.tables.insert(table, rows)
        requests.append(len(proxied.tables.forwarded))

    assert requests == [1, 1, 2, 3]


async def test_a_receive_is_one_request(proxied: Proxied, queue: str) -> None:
    """However few messages there are, the client asks once."""
    await proxied.storage.queues.put(queue, "a")
    proxied.queues.forwarded.clear()

    assert len(await proxied.storage.queues.receive(queue, limit=32, visibility=30)) == 1
    assert await proxied.storage.queues.receive(queue, limit=32, visibility=30) == []

    assert len(proxied.queues.forwarded) == 2


# Foreign queue messages


async def test_bodies_travel_in_base64(azure: Storage, azurite_connection: str, queue: str) -> None:
    """What is on the wire is what the Functions host expects: base64 of UTF-8."""
    await azure.queues.put(queue, '{"v":1,"text":"ü"}')

    async with QueueServiceClient.from_connection_string(azurite_connection) as client:
        (message,) = await client.get_queue_client(queue).peek_messages()

    assert base64.b64decode(message.content).decode() == '{"v":1,"text":"ü"}'


@pytest.mark.parametrize("text", ["plain text", "{}", "a", base64.b64encode(b"\xff\xfe").decode()])
async def test_a_foreign_body_comes_raw_and_marked(
    azure: Storage, azurite_connection: str, queue: str, text: str
) -> None:
    """A body that is not base64 of UTF-8 is received as it is, says so, and can be deleted."""
    async with QueueServiceClient.from_connection_string(azurite_connection) as client:
        await client.create_queue(queue)
        await client.get_queue_client(queue).send_message(text)

    (item,) = await azure.queues.receive(queue, limit=1, visibility=30)

    assert (item.body, item.decoded) == (text, False)
    await azure.queues.delete(queue, item)
    assert await azure.queues.length(queue) == 0


@given(st.text())
def test_what_put_writes_is_decoded(body: str) -> None:
    """Every text with UTF-8 survives base64 and is known as ours."""
    try:
        wire = base64.b64encode(body.encode()).decode()
    except UnicodeEncodeError:
        return
    assert _decode(wire) == (body, True)


@given(st.text())
def test_decoding_never_fails(text: str) -> None:
    """Whatever is on the queue, it decodes or comes back as it is."""
    body, decoded = _decode(text)
    assert decoded or body == text


# The vault


async def test_a_secret_is_read_once(azure: Storage, vault: Vault) -> None:
    """A value comes from memory after the first read, and tasks that ask together share one request."""
    vault.values["name"] = "canary"

    together = await asyncio.gather(*(azure.secrets.get("name") for _ in range(10)))
    later = await azure.secrets.get("NAME")

    assert [*together, later] == ["canary"] * 11
    assert vault.requests == {"GET": 1}


async def test_a_missing_secret_is_asked_for_again(azure: Storage, vault: Vault) -> None:
    """That a name is missing is not remembered: it may be set a moment later by another process."""
    assert await azure.secrets.get("name") is None
    vault.values["name"] = "canary"

    assert await azure.secrets.get("name") == "canary"


async def test_a_task_that_gives_up_does_not_stop_the_others(azure: Storage, vault: Vault) -> None:
    """When the first of two tasks that share a request is cancelled, the second gets its answer."""
    vault.values["name"] = "canary"
    first, second = (asyncio.create_task(azure.secrets.get("name")) for _ in range(2))
    await asyncio.sleep(0)

    first.cancel()

    assert await second == "canary"
    assert first.cancelled()


async def test_memory_for_secrets_is_bounded(azure: Storage, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the value that was not used for longest goes first."""
    monkeypatch.setattr(azure_secrets, "MAX_CACHED", 2)
    vault.values |= {"a": "1", "b": "2", "c": "3"}
    for name in ("a", "b", "a", "c"):
        await azure.secrets.get(name)
    vault.requests.clear()

    assert [await azure.secrets.get(name) for name in ("a", "c", "b")] == ["1", "3", "2"]

    assert vault.requests == {"GET": 1}


async def test_deleting_a_secret_does_not_wait(azure: Storage, vault: Vault) -> None:
    """A delete is one request; nobody waits until the vault has moved the secret aside."""
    await azure.secrets.set("name", "canary")
    vault.requests.clear()

    await azure.secrets.delete("name")

    assert vault.requests == {"DELETE": 1}
    assert vault.values == {"name": None}


async def test_a_busy_vault_is_asked_again(
    vault: Vault, credential: HandedOutToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three answers of 429 are waited out; after a fourth the reader is told, and the next call asks again."""
    monkeypatch.setattr(family, "_CORE_RETRIES", family._CORE_RETRIES | {"retry_backoff_factor": 0})
    secrets = open_key_vault(vault.url, credential, verify_challenge_resource=False, connection_verify=vault.ca_file)
    vault.values |= {"patient": "canary", "refused": "canary"}

    vault.busy = 3
    assert await secrets.get("patient") == "canary"
    vault.busy = 4
    with pytest.raises(StorageError, match="429 Throttled"):
        await secrets.get("refused")
    assert await secrets.get("refused") == "canary"

    await secrets.close()
    assert vault.requests == {"GET": 4 + 4 + 1}


async def test_by_default_no_token_goes_to_a_strange_vault(vault: Vault, credential: HandedOutToken) -> None:
    """A server whose challenge asks for a token of another domain gets none."""
    secrets = open_key_vault(vault.url, credential, connection_verify=vault.ca_file)

    with pytest.raises(ValueError, match="challenge"):
        await secrets.get("name")
    await secrets.close()

    assert credential.scopes == []
    assert not vault.requests


async def test_by_default_an_unknown_certificate_is_refused(
    vault: Vault, credential: HandedOutToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server with a certificate that nobody vouches for is not talked to."""
    monkeypatch.setattr(family, "_CORE_RETRIES", {"retry_total": 0})
    secrets = open_key_vault(vault.url, credential, verify_challenge_resource=False)

    with pytest.raises(StorageError):
        await secrets.get("name")
    await secrets.close()

    assert credential.scopes == []


async def test_the_token_is_for_the_vault(azure: Storage, credential: HandedOutToken) -> None:
    """The credential is asked for the scope that the vault named."""
    await azure.secrets.get("name")

    assert credential.scopes == ["https://vault.azure.net/.default"]


# Opening


def test_opening_says_what_is_missing(credential: HandedOutToken) -> None:
    """Without a way to reach a service, opening fails and names the argument."""
    with pytest.raises(ValueError, match="vault_url"):
        open_azure(connection_string="x")
    with pytest.raises(ValueError, match="table_url"):
        open_azure_tables(credential=credential)
    with pytest.raises(ValueError, match="credential"):
        open_azure_tables(table_url="https://account.table.core.windows.net")
    with pytest.raises(ValueError, match="queue_url"):
        open_azure_queues(credential=credential)
    with pytest.raises(ValueError, match="credential"):
        open_azure_queues(queue_url="https://account.queue.core.windows.net")


async def test_opening_by_addresses_and_a_credential_asks_for_nothing_yet(credential: HandedOutToken) -> None:
    """All three ports are made without a request, and can be closed unused."""
    storage = open_azure(
        vault_url="https://name.vault.azure.net",
        table_url="https://account.table.core.windows.net",
        queue_url="https://account.queue.core.windows.net",
        credential=credential,
    )
    await storage.close()

    assert credential.scopes == []
