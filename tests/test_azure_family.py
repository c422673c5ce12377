"""The same gateway over Azure's own kind of store: Azurite for tables and queues, a key vault for secrets."""

from __future__ import annotations

from collections import Counter

import pytest

from functions.gateway.timing import Timing
from functions.storage.azure import open_azure, open_key_vault
from tests.conftest import KITS, Ready
from tests.servers import azurite, require_tools
from tests.storage.vault import HandedOutToken, running_vault
from tests.test_end_to_end import faults_for, is_blind, ledger, lost_calls, plus, settled

MESSAGES = 200
QUICK = Timing(settle_after=0.5, backoff_base=0.1, backoff_cap=1.0)


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    """Run Azurite."""
    require_tools()
    with azurite(tmp_path_factory.mktemp("azurite")) as connection_string:
        yield connection_string


@pytest.fixture
async def azure(connection, tmp_path):
    """Open the three ports over Azurite and the vault."""
    credential = HandedOutToken()
    async with running_vault(tmp_path, credential.token) as vault:
        secrets = open_key_vault(
            vault.url, credential, verify_challenge_resource=False, connection_verify=str(vault.ca_file)
        )
        storage = open_azure(secrets=secrets, connection_string=connection)
        yield storage
        await storage.close()


async def test_the_whole_flow(start_gateway, azure, sandbox) -> None:
    """Set-up, a bulk send with faults, reports, a reply and a STOP work, and both ends agree, vendor by vendor."""
    ready = Ready(await start_gateway(on=azure, timing=QUICK), sandbox)
    for vendor in KITS:
        made = await ready.make(vendor)
        assert (await ready.call("POST", f"/providers/{made.id}/check")).body["ok"]
        await ready.ask("PUT", f"/{vendor}/faults", faults_for(vendor))
        wanted = [{"to": f"+1425{2_000_000 + n}", "text": f"{vendor} {n % 5}"} for n in range(MESSAGES)]
        body = {"from": made.sender, "messages": wanted}

        answers = [
            await ready.call("POST", "/messages", body, headers={"Idempotency-Key": f"bulk-{vendor}"}) for _ in range(2)
        ]
        log = await settled(ready, 60, provider=made.id, blind=is_blind(vendor))

        assert answers[0].body == answers[1].body
        sent = await ledger(ready, vendor)
        counted = Counter(plus(item["to"]) for item in sent)
        assert counted <= Counter(message["to"] for message in wanted), "sent twice, or sent what nobody asked for"
        never = {message["to"] for message in wanted} - set(counted)
        assert {message["to"] for message in log if message["status"] == "unknown"} == never
        assert not never or (is_blind(vendor) and await lost_calls(ready, vendor))

        await ready.ask("POST", f"/{vendor}/inbound", {"from": "+14252000000", "to": made.address, "text": "STOP"})
        await sandbox.idle()
        (identity,) = await ready.send(made, "+14252000000")
        stopped = await ready.until(identity, "rejected")
        assert stopped["reason"] == "opted_out"
        assert len(await ledger(ready, vendor)) == len(sent)
        await ready.ask("DELETE", f"/{vendor}/faults")
