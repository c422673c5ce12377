"""Application Insights, as far as it can be had on loopback: Microsoft's exporter, signed in with the app's identity.

The stand-in answers as the ingestion service does (https://learn.microsoft.com/azure/azure-monitor/app/data-model-complete)
and, beside it, as the token endpoint of App Service does
(https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference).
"""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import os
import ssl
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field

import pytest
import trustme
from aiohttp import web

from functions.gateway.telemetry import OLDEST_OPEN, SET_ASIDE, VENDOR, Kind
from functions.settings import read_telemetry
from functions.telemetry import open_telemetry, otel
from tests.conftest import Ready

IDENTITY = "11111111-2222-3333-4444-555555555555"
KEY = "00000000-0000-0000-0000-000000000001"
TOKEN = "the-token-of-the-apps-identity"
HEADER = "the-secret-of-the-identity-endpoint"


@dataclass
class Insights:
    """What arrived at the stand-in."""

    url: str = ""
    status: int = 200
    items: list[dict] = field(default_factory=list)
    authorizations: Counter = field(default_factory=Counter)
    asked: list[dict] = field(default_factory=list)

    async def track(self, request):
        """Take telemetry items."""
        self.authorizations[request.headers.get("Authorization", "")] += 1
        body = await request.read()
        if self.status != 200:
            return _answer({}, self.status)
        items = json.loads(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
        self.items += items
        return _answer({"itemsReceived": len(items), "itemsAccepted": len(items), "errors": []})

    async def token(self, request):
        """Hand out a token to the identity that asks for one."""
        self.asked.append(dict(request.query) | {"header": request.headers.get("X-IDENTITY-HEADER")})
        expires = str(int(time.time()) + 86400)
        return _answer(
            {
                "access_token": TOKEN,
                "expires_on": expires,
                "resource": request.query["resource"],
                "token_type": "Bearer",
            }
        )

    def of(self, kind):
        """Return the data of the items of a kind."""
        return [item["data"]["baseData"] for item in self.items if item["data"]["baseType"] == kind]


def _answer(document, status=200):
    answer = web.json_response(document, status=status)
    # The client just drops its connections in the end; those of TLS would be left half open.
    answer.force_close()
    return answer


@pytest.fixture
async def insights(tmp_path, environment):
    """Run the stand-in over HTTPS, since a token is sent over nothing else."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    found = Insights()
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/{version:.*}/track", found.track)
    app.router.add_get("/msi/token", found.token)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    found.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    environment(
        APPLICATIONINSIGHTS_CONNECTION_STRING=f"InstrumentationKey={KEY};IngestionEndpoint={found.url}/",
        APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL="true",
        APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED="true",
        APPLICATIONINSIGHTS_SDKSTATS_DISABLED="true",
        REQUESTS_CA_BUNDLE=str(tmp_path / "ca.pem"),
        IDENTITY_ENDPOINT=f"{found.url}/msi/token",
        IDENTITY_HEADER=HEADER,
    )
    yield found
    await runner.cleanup()


async def test_it_signs_in_with_the_apps_identity(insights, environment):
    """Spans, figures and log lines arrive under a token of the user-assigned identity, in the types of the portal."""
    environment(APPLICATIONINSIGHTS_AUTHENTICATION_STRING=f"ClientId={IDENTITY};Authorization=AAD")
    telemetry = open_telemetry(read_telemetry(os.environ))
    with telemetry.span("POST /api/messages", Kind.SERVER), telemetry.span("send acs", Kind.CLIENT):
        logging.getLogger("sms.test").info("a line")
    telemetry.count(SET_ASIDE, {VENDOR: "acs"}, 3)
    telemetry.record(OLDEST_OPEN, {}, 12.0)
    await telemetry.close()

    assert set(insights.authorizations) == {f"Bearer {TOKEN}"}
    assert insights.asked[0]["client_id"] == IDENTITY
    assert insights.asked[0]["header"] == HEADER
    assert insights.asked[0]["resource"].startswith("https://monitor.azure.com")
    assert {item["iKey"] for item in insights.items} == {KEY}
    (request,), (dependency,), (line,) = (
        insights.of(f"{kind}Data") for kind in ("Request", "RemoteDependency", "Message")
    )
    assert (request["name"], dependency["name"], line["message"]) == ("POST /api/messages", "send acs", "a line")
    figures = {metric["metrics"][0]["name"]: metric for metric in insights.of("MetricData")}
    assert figures["sms.set_aside"]["metrics"][0]["value"] == 3
    assert figures["sms.set_aside"]["properties"]["sms.vendor"] == "acs"
    assert figures["sms.oldest.open"]["metrics"][0]["value"] == 12


async def test_without_the_setting_the_key_is_all(insights, environment):
    """Where signing in is not asked for, none is tried."""
    telemetry = open_telemetry(read_telemetry(os.environ))
    with telemetry.span("x", Kind.SERVER):
        pass
    await telemetry.close()

    assert set(insights.authorizations) == {""}
    assert insights.asked == []


async def test_an_outage_leaves_nothing_on_disk(insights, environment, tmp_path, monkeypatch):
    """What Application Insights did not take is dropped: nothing of it is written to the instance's disk."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(otel, "CLOSE_WITHIN", 1.0)
    insights.status = 503
    telemetry = open_telemetry(read_telemetry(os.environ))
    with telemetry.span("x", Kind.SERVER):
        pass
    await telemetry.close()

    assert insights.authorizations
    assert list(folder.rglob("*")) == []


async def test_both_destinations_get_everything(insights, collector, environment, start_gateway, sandbox):
    """With a collector and Application Insights one message is one operation in both, and no number is in either."""
    environment(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    telemetry = open_telemetry(read_telemetry(os.environ))
    ready = Ready(await start_gateway(telemetry=telemetry), sandbox)
    made = await ready.make("twilio")
    await ready.delivered(made, "+14255550123", "A text for nobody else")
    await ready.idle()
    await asyncio.sleep(0.05)
    await telemetry.close()

    (call,) = collector.named("POST /api/messages")
    names = {
        item["data"]["baseData"]["name"]
        for item in insights.items
        if item["tags"].get("ai.operation.id") == call.trace and "name" in item["data"]["baseData"]
    }
    assert names == {"POST /api/messages", "accept", "queue sms-dispatch", "dispatch", "send twilio"}
    (dependency,) = [one for one in insights.of("RemoteDependencyData") if one["name"] == "send twilio"]
    assert dependency["properties"]["sms.vendor.status"] == "201"
    told = json.dumps(insights.items)
    assert "4255550123" not in told
    assert "A text for" not in told
    assert collector.count("sms.delivered") == 1
    assert "sms.delivered" in told
