"""Credentials stay where they belong: a canary in each of them, and a search of everything the gateway lets out.

Each canary is a secret that belongs to nobody. After a run through all that is done with credentials, good and bad,
nothing but the secret store and the vendor itself may know one, in whatever spelling.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from urllib.parse import quote

import pytest

from devhost.keys import Keys
from functions.gateway.directory import Directory
from functions.gateway.timing import Timing
from functions.settings import read_telemetry
from functions.storage.embedded.queues import EmbeddedQueues
from functions.storage.ports import StorageError
from functions.telemetry import open_telemetry
from functions.triggers import api, workers
from functions.vendors.registry import vendors
from tests.conftest import KITS, Ready
from tests.telemetry.collector import Collector, running_collector
from tests.triggers import store

NUMBERS = count()
PERSON = "+14255550123"
IMPATIENT = Timing(circuit_wait=0.2, circuit_cap=0.2)
"""Vendors are broken here on purpose, and are to be called again at once."""
TOKENS = {name: (name.encode().hex() + "c0ffee" * 6)[:32] for name in ("first", "second", "third", "wrong", "typo")}
ACS_KEYS = {
    name: base64.b64encode(f"acs-{name}-canary-in-the-mine".encode()).decode()
    for name in ("first", "second", "third", "wrong", "typo")
}
PRIVATE = (PERSON, "+14255550185", "+14255550150", "+14255550160", "+18885550100", "Hello", "Dropped", "own fault")
"""Numbers of people and senders, and words of the texts that are sent and received."""

FUNCTION_KEYS = {name: f"canary-{name}-function-key-0123456789" for name in ("master", "host", "system", "own")}
CANARIES = {
    **{f"twilio {name}": value for name, value in TOKENS.items()},
    **{f"acs {name}": value for name, value in ACS_KEYS.items()},
    **{f"key {name}": value for name, value in FUNCTION_KEYS.items()},
}


def spellings(secret):
    """Return a secret as it is, and as it might be found: percent-encoded, in hex, in base64, escaped, in capitals."""
    raw = secret.encode()
    found = {secret, quote(secret, safe=""), raw.hex(), json.dumps(secret)[1:-1], secret.upper(), secret[::-1]}
    for before in range(3):
        # The middle of its base64, whatever stands before it, such as the account in HTTP's basic authentication.
        encoded = base64.b64encode(b"x" * before + raw).decode()
        found.add(encoded[4 * ((before + 2) // 3) : len(encoded) // 4 * 4 - 4])
    with suppress(ValueError):
        found.add(base64.b64decode(secret, validate=True).decode())
    return {spelling for spelling in found if len(spelling) >= 16}


@dataclass
class Everything:
    """All that the gateway let out, by where it was found.

    Args:
        path: The embedded store's file.
        canaries: The secrets to look for, by name.
    """

    path: Path | None = None
    canaries: dict[str, str] = field(default_factory=lambda: dict(CANARIES))
    answers: list[str] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    queued: list[str] = field(default_factory=list)
    exported: list[str] = field(default_factory=list)

    def look(self):
        """Look into the store too, and return the canaries that were found and where."""
        self.rows = [repr(row) + _unpacked(row) for row in store.rows(self.path)]
        return self.leaks()

    def leaks(self):
        """Return the canaries that were found and where."""
        places = [(name, texts) for name, texts in vars(self).items() if isinstance(texts, list)]
        return sorted(
            {
                (name, place)
                for name, secret in self.canaries.items()
                for spelling in spellings(secret)
                for place, texts in places
                if any(spelling in text for text in texts)
            }
        )

    def strangers(self, *private):
        """Return which numbers and texts stand where only ids belong: in our log lines, the queue, the telemetry."""
        own = [line for line in self.logs if line.startswith("sms.")]
        places = {"logs": own, "queued": self.queued, "exported": self.exported}
        words = {word.lstrip("+") for word in private}
        return sorted((word, name) for word in words for name, texts in places.items() if any(word in t for t in texts))


class Ear(logging.Handler):
    """Hears every log line, its traceback and its arguments included."""

    def __init__(self, heard):
        super().__init__(logging.DEBUG)
        self.heard = heard
        self.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))

    def emit(self, record):
        self.heard.append(self.format(record) + repr(record.args))


@pytest.fixture
def heard():
    """Listen to the root logger at level DEBUG; libraries log what their own loggers let through."""
    root, ours, lines = logging.getLogger(), logging.getLogger("sms"), []
    ear, levels = Ear(lines), (root.level, ours.level)
    root.addHandler(ear)
    root.setLevel(logging.DEBUG)
    ours.setLevel(logging.DEBUG)
    yield lines
    root.removeHandler(ear)
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


@pytest.fixture
async def everything(heard, path_of_store, monkeypatch):
    """Collect all that the gateway lets out; what lies in the store is read when ``look`` is called."""
    found = Everything(path_of_store, logs=heard)
    real, put = api.answer, EmbeddedQueues.put

    async def answer(described, handler, req):
        response = await real(described, handler, req)
        found.answers.append(f"{dict(response.headers)} {response.get_body().decode()}")
        return response

    async def watched(self, queue, body, **more):
        found.queued.append(body)
        await put(self, queue, body, **more)

    monkeypatch.setattr(api, "answer", answer)
    monkeypatch.setattr(EmbeddedQueues, "put", watched)
    return found


def _unpacked(row):
    """Return what is packed in a row, so that nothing hides in compressed bytes."""
    from functions.gateway.packing import unpack

    values = {
        name: base64.b64decode(value["base64"]) if isinstance(value, dict) else value
        for name, value in json.loads(row[4]).items()
    }
    return json.dumps(unpack(values)) if "p0" in values else ""


@pytest.fixture
def path_of_store(tmp_path):
    return tmp_path / "gateway.db"


@dataclass
class Listening:
    """What telemetry told, and how to hear the rest of it."""

    collector: Collector
    telemetry: object

    async def all(self):
        """Return whether spans, figures and log lines have arrived, now that everything has been exported."""
        await self.telemetry.close()
        return {"traces", "metrics", "logs"} <= set(self.collector.requests)


@pytest.fixture
async def listening(everything, monkeypatch):
    """Export spans, figures and log lines to a collector."""
    async with running_collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        monkeypatch.setenv("OTEL_BLRP_SCHEDULE_DELAY", "100")
        everything.exported = collector.texts
        opened = Listening(collector, open_telemetry(read_telemetry(os.environ)))
        yield opened
        await opened.telemetry.close()


@pytest.fixture
async def mine(everything, listening, start_gateway, sandbox, monkeypatch, documented):
    """Run a gateway whose keys and accounts are all canaries."""
    documented.excused.add(500)
    keys = Keys(
        master=FUNCTION_KEYS["master"],
        host={"default": FUNCTION_KEYS["host"]},
        system={"eventgrid_extension": FUNCTION_KEYS["system"]},
        functions={"send_messages": {"default": FUNCTION_KEYS["own"]}},
    )
    monkeypatch.setattr(Keys, "fresh", classmethod(lambda cls, path=None: keys))
    ready = Ready(await start_gateway(telemetry=listening.telemetry, timing=IMPATIENT), sandbox)
    await ready.ask("POST", "/twilio/accounts", {"sid": "AC" + "1" * 32, "token": TOKENS["first"]})
    await _resource(ready, "first", "second")
    return ready


async def _resource(ready, *names):
    numbers = ["+18885550100"]
    await ready.ask(
        "POST", "/acs/resources", {"name": "one", "keys": [ACS_KEYS[name] for name in names], "numbers": numbers}
    )


def connection_string(ready, name):
    """Return the connection string with one of the canaries."""
    return f"endpoint={ready.sandbox.base_url}/;accesskey={ACS_KEYS[name]}"


async def create(ready):
    """Create providers, rightly, and wrongly in every way that puts a credential into a request that is refused."""
    sid, base = "AC" + "1" * 32, ready.sandbox.base_url
    good = {"accountSid": sid, "authToken": TOKENS["first"], "baseUrl": base}
    text, typo, wrong = connection_string(ready, "first"), TOKENS["typo"], TOKENS["wrong"]
    for vendor, settings in (
        ("twilio", good | {"authTokn": typo}),
        ("twilio", good | {"authToken": [typo]}),
        ("twilio", good | {"authToken": {"value": typo}}),
        ("twilio", good | {"authToken": f"{typo}-"}),
        ("twilio", good | {"authTokenSecondary": f" {typo}x"}),
        ("twilio", good | {"accountSid": typo}),
        ("twilio", good | {"baseUrl": f"http://{typo}.example.com"}),
        ("twilio", good | {"baseUrl": f"https://user:{typo}@api.example.com"}),
        ("twilio", typo),
        ("twilio", [typo]),
        ("pigeon", good | {"authToken": wrong}),
        ("acs", {"connectionString": ACS_KEYS["typo"]}),
        ("acs", {"connectionString": f"endpoint=http://192.0.2.1/;accesskey={ACS_KEYS['typo']}"}),
        ("acs", {"connectionString": f"endpoint=https://a.example.com/x;accesskey={ACS_KEYS['typo']}"}),
        ("acs", {"connectionString": f"accesskey={ACS_KEYS['typo']}"}),
        ("acs", {"connectionString": text, "endpoint": "https://a.example.com"}),
        (
            "acs",
            {
                "connectionString": text,
                "connectionStringSecondary": f"endpoint=https://b.example.com/;accesskey={ACS_KEYS['typo']}",
            },
        ),
    ):
        answer = await ready.call("POST", "/providers", {"vendor": vendor, "name": "x", "settings": settings})
        assert answer.status == 422, (settings, answer.body)
    for broken in (f'{{"settings": {{"authToken": "{typo}"', f'{{"authToken": "{typo}"}}', f'"{typo}"', typo):
        url = f"{ready.gateway.url}/api/providers"
        headers = {"x-functions-key": FUNCTION_KEYS["master"], "Content-Type": "application/json"}
        async with ready.gateway.session.post(url, data=broken, headers=headers) as response:
            assert response.status in {400, 422}
    made = {}
    for vendor, settings, kind, address in (
        ("twilio", good, "long_code", "+14255550199"),
        ("acs", {"connectionString": text}, "toll_free", "+18885550100"),
    ):
        created = await ready.call("POST", "/providers", {"vendor": vendor, "name": vendor, "settings": settings})
        assert created.status == 201
        place = f"/providers/{created.body['id']}"
        sender = await ready.call("POST", f"{place}/senders", {"type": kind, "address": address})
        made[vendor] = (place, sender.body["id"])
        assert (await ready.call("POST", f"{place}/finish")).status == 200
    urls = (await ready.call("GET", f"{made['twilio'][0]}/callbacks")).body
    await ready.ask(
        "POST",
        f"/twilio/accounts/{sid}/numbers",
        {"number": "+14255550199", "account": sid, "sms_url": urls["inbound"]},
    )
    for name, event in (("sms_delivery_report_received", "SMSDeliveryReportReceived"), ("sms_received", "SMSReceived")):
        body = {"endpoint": ready.gateway.events_url(name), "event_types": [f"Microsoft.Communication.{event}"]}
        await ready.ask("POST", "/acs/resources/one/subscriptions", body | {"name": name.replace("_", "-")})
    return made


async def use(ready, made):
    """Send, take reports and replies, forge some, list everything."""
    for place, sender in made.values():
        key = {"Idempotency-Key": f"key-{next(NUMBERS)}"}
        (identity,) = await ready.send(sender, PERSON, headers=key)
        await ready.until(identity, "delivered")
        await ready.send(sender, ["+14255550185", "+14255550150", "+14255550160"])
        for method, route in (
            ("GET", place),
            ("POST", f"{place}/check"),
            ("GET", f"{place}/callbacks"),
            ("GET", f"{place}/senders"),
        ):
            assert (await ready.call(method, route)).status == 200
    for vendor, number in (("twilio", "+14255550199"), ("acs", "+18885550100")):
        await ready.ask("POST", f"/{vendor}/inbound", {"from": PERSON, "to": number, "text": "Hello"})
    for route in ("/messages", "/inbound", "/opt-outs", "/providers", "/vendors", "/health", "/openapi.json", "/docs"):
        assert (await ready.call("GET", route)).status == 200
    place = f"{ready.gateway.url}/api/callbacks/twilio/{made['twilio'][0].rpartition('/')[2]}/report"
    for headers in ({"X-Twilio-Signature": TOKENS["wrong"]}, {"X-Twilio-Signature": TOKENS["first"]}, {}):
        async with ready.gateway.session.post(place, data={"MessageSid": "x"}, headers=headers) as response:
            assert response.status == 403
    own = f"{ready.gateway.url}/api/messages?code={FUNCTION_KEYS['own']}"
    async with ready.gateway.session.post(own, json={"from": "nobody", "to": PERSON, "text": "x"}) as response:
        assert response.status == 422
    wrong = f"{ready.gateway.url}/api/messages?code={FUNCTION_KEYS['own']}x&nonsense=1"
    async with ready.gateway.session.get(wrong) as response:
        assert response.status == 401
    await ready.sandbox.idle()


async def rotate(ready, made):
    """Turn the credentials over, the wrong way first, so that the vendors refuse them for a while."""
    every = {"If-Match": "*"}
    twilio, acs = made["twilio"][0], made["acs"][0]
    for place, settings in (
        (twilio, {"authToken": TOKENS["wrong"], "authTokenSecondary": TOKENS["first"]}),
        (
            acs,
            {
                "connectionString": connection_string(ready, "wrong"),
                "connectionStringSecondary": connection_string(ready, "second"),
            },
        ),
    ):
        assert (await ready.call("PATCH", place, {"settings": settings}, headers=every)).status == 200
        assert (await ready.call("POST", f"{place}/check")).body["ok"] is False
    await use(ready, made)
    for place, settings in (
        (twilio, {"authToken": TOKENS["wrong"], "authTokenSecondary": None}),
        (acs, {"connectionString": connection_string(ready, "wrong"), "connectionStringSecondary": None}),
    ):
        assert (await ready.call("PATCH", place, {"settings": settings}, headers=every)).status == 200
        assert (await ready.call("PATCH", place, {"settings": settings}, headers={"If-Match": '"x"'})).status == 412
    for _, sender in made.values():
        (identity,) = await ready.send(sender, PERSON)
        assert (await ready.until(identity))["reason"] == "credentials"
    for place, settings in (
        (twilio, {"authToken": TOKENS["first"], "authTokenSecondary": TOKENS["second"]}),
        (
            acs,
            {
                "connectionString": connection_string(ready, "first"),
                "connectionStringSecondary": connection_string(ready, "second"),
            },
        ),
    ):
        assert (await ready.call("PATCH", place, {"settings": settings}, headers=every)).status == 200


async def break_things(ready, made, monkeypatch):
    """Let vendors and stores fail in every way, with the credentials on their lips."""
    for vendor in made:
        await ready.ask("PUT", f"/{vendor}/faults", {"error_before": 1})
        await ready.send(made[vendor][1], PERSON, f"Error {vendor}")
        await ready.call("POST", f"{made[vendor][0]}/check")
        await ready.ask("PUT", f"/{vendor}/faults", {"drop_before": 1})
        await ready.send(made[vendor][1], PERSON, f"Dropped {vendor}")
        await ready.call("POST", f"{made[vendor][0]}/check")
    storage = ready.gateway.application.storage
    settings = {"settings": {"authToken": TOKENS["third"]}}
    body = {"vendor": "twilio", "name": "x", "settings": {"authToken": TOKENS["third"]}}
    for port, method in (
        (storage.tables, "insert"),
        (storage.tables, "replace"),
        (storage.secrets, "set"),
        (storage.secrets, "get"),
    ):
        for error in (StorageError, RuntimeError, KeyError, ValueError):

            async def broken(self, *args, _error=error, **more):
                raise _error(f"{args} {more} {TOKENS['third']} {TOKENS['first']} {ACS_KEYS['third']}")

            with monkeypatch.context() as patch:
                patch.setattr(type(port), method, broken)
                for verb, route, sent in (
                    ("POST", "/providers", body),
                    ("PATCH", made["twilio"][0], settings),
                    ("POST", f"{made['twilio'][0]}/check", None),
                    ("POST", "/messages", {"from": made["twilio"][1], "to": PERSON, "text": "Hello"}),
                ):
                    answer = await ready.call(verb, route, sent, headers={"If-Match": "*"})
                    assert answer.status < 600
                place = f"{ready.gateway.url}/api/callbacks/twilio/{made['twilio'][0].rpartition('/')[2]}/report"
                async with ready.gateway.session.post(
                    place, data={"MessageSid": "x"}, headers={"X-Twilio-Signature": "x"}
                ) as response:
                    assert response.status in {403, 500, 503}
                await asyncio.sleep(0.05)
    for vendor in made:
        adapter = ready.gateway.application.vendors[vendor]

        async def failing(self, account, *_):
            raise RuntimeError(f"{account.settings} {dict(account.settings)}")

        with monkeypatch.context() as patch:
            for method in ("send", "check", "lookup"):
                patch.setattr(type(adapter), method, failing)
            place, sender = made[adapter.description.name]
            assert (await ready.call("POST", f"{place}/check")).status == 500
            (identity,) = await ready.send(sender, PERSON, "An adapter's own fault")
            await ready.until(identity, "unknown")
    for vendor in made:
        await ready.ask("DELETE", f"/{vendor}/faults")


async def remove(ready, made):
    """Delete all providers."""
    for place, _ in made.values():
        assert (await ready.call("DELETE", f"{place}?force=true")).status == 204


async def test_no_credential_leaves_the_gateway(mine, everything, listening, path_of_store, monkeypatch):
    """Through set-up, use, rotation, faults and removal no log line, answer, row, message or span holds a canary."""
    made = await create(mine)
    assert TOKENS["first"] in repr(store.secrets(path_of_store)), "the canaries are in use"
    await use(mine, made)
    assert everything.look() == []
    await rotate(mine, made)
    assert everything.look() == []
    await break_things(mine, made, monkeypatch)
    assert everything.look() == []
    await remove(mine, made)
    assert await listening.all()
    assert everything.look() == []
    assert everything.strangers(*PRIVATE) == []
    assert len(everything.exported) > 10
    assert len(everything.answers) > 100
    assert len(everything.logs) > 200
    assert any("failed with RuntimeError" in line for line in everything.logs)


# Every vendor ---------------------------------------------------------------------------------------------------------


def secrets_of(vendor, settings):
    """Return the secrets in a provider's settings by name: those inside JSON and connection strings too."""
    found = {}
    for setting in vendors()[vendor].description.settings:
        value = settings.get(setting.name) if setting.secret else None
        if isinstance(value, dict):
            found |= {f"{vendor} {setting.name}.{name}": part for name, part in value.items()}
        elif value:
            found[f"{vendor} {setting.name}"] = value.rpartition("accesskey=")[2]
    return {name: secret for name, secret in found.items() if len(secret) >= 16}


async def use_everything(ready, made, kit):
    """Send, check, list, take reports and a reply, and let somebody forge callbacks with what they overheard."""
    place = f"/providers/{made.id}"
    (identity,) = await ready.send(made, kit.person(123))
    await ready.until(identity)
    await ready.send(made, [kit.person(tail) for tail in (150, 160, 164, 185)])
    await ready.ask("POST", f"/{made.vendor}/inbound", {"from": kit.person(123), "to": made.address, "text": "Hello"})
    await ready.sandbox.idle()
    for method, route in (("GET", place), ("POST", f"{place}/check"), ("POST", f"{place}/callbacks/subscribe")):
        await ready.call(method, route)
    for route in ("/messages", f"/messages/{identity}", "/inbound", "/opt-outs", "/providers", "/vendors"):
        assert (await ready.call("GET", route)).status == 200
    overheard = " ".join(secrets_of(made.vendor, made.settings).values())
    for kind in ("report", "inbound"):
        for end in ("", "/wrong"):
            url = f"{ready.gateway.url}/api/callbacks/{made.vendor}/{made.id}/{kind}{end}"
            headers = {"Authorization": f"Basic {overheard}", "X-Gateway-Secret": overheard, "X-Twilio-Signature": "x"}
            async with ready.gateway.session.post(url, data="{}", headers=headers) as response:
                assert response.status == 403


async def use_with_faults(ready, made, kit):
    """Let the vendor fail in all ways, and the adapter with all it knows on its lips."""
    place = f"/providers/{made.id}"
    for fault in ("error_before", "drop_before", "throttle", "error_after", "drop_after"):
        await ready.ask("PUT", f"/{made.vendor}/faults", {fault: 1})
        await ready.send(made, kit.person(124), f"With {fault}")
        await ready.call("POST", f"{place}/check")
        await asyncio.sleep(0.2)
    await ready.ask("DELETE", f"/{made.vendor}/faults")


async def use_with_wrong_secrets(ready, made, kit):
    """Turn every secret round, one after the other, so that the vendor refuses it or the gateway does."""
    place, every = f"/providers/{made.id}", {"If-Match": "*"}
    for setting in vendors()[made.vendor].description.settings:
        value = made.settings.get(setting.name) if setting.secret else None
        if value is None:
            continue
        turned = {name: part[::-1] for name, part in value.items()} if isinstance(value, dict) else value[::-1]
        for wrong in (turned, f"{value} x"):
            await ready.call("PATCH", place, {"settings": {setting.name: wrong}}, headers=every)
            await ready.call("POST", f"{place}/check")
            await ready.call("POST", f"{place}/callbacks/subscribe")
            await ready.send(made, kit.person(125), f"With a wrong {setting.name}")
            await asyncio.sleep(0.1)
        restored = await ready.call("PATCH", place, {"settings": {setting.name: value}}, headers=every)
        assert restored.status == 200, restored.body


async def use_with_failing_adapter(ready, made, kit, monkeypatch):
    """Let each way into the adapter fail with everything that it was given."""
    adapter = type(ready.gateway.application.vendors[made.vendor])
    place = f"/providers/{made.id}"

    async def failing(self, account, *_):
        raise RuntimeError(f"{account.settings} {dict(account.settings)}")

    def failing_at_once(self, callback, account):
        raise RuntimeError(f"{callback} {dict(account.settings)}")

    with monkeypatch.context() as patch:
        for method in ("send", "check", "lookup", "report_of", "subscribe"):
            patch.setattr(adapter, method, failing)
        patch.setattr(adapter, "verify", failing_at_once)
        assert (await ready.call("POST", f"{place}/check")).status == 500
        await ready.call("POST", f"{place}/callbacks/subscribe")
        (identity,) = await ready.send(made, kit.person(126), "An adapter's own fault")
        await ready.until(identity, "unknown")
        url = f"{ready.gateway.url}/api/callbacks/{made.vendor}/{made.id}/report/x"
        async with ready.gateway.session.post(url, data="{}") as response:
            assert response.status >= 400


@pytest.mark.parametrize("vendor", KITS)
async def test_no_vendors_secret_leaves_the_gateway(mine, everything, listening, monkeypatch, vendor):
    """At every vendor: used, refused, broken and turned round, no secret of its provider is found outside the store."""
    kit = KITS[vendor]
    made = await mine.make(vendor, account="canary")
    everything.canaries = secrets_of(vendor, made.settings)
    assert everything.canaries
    await use_everything(mine, made, kit)
    await use_with_faults(mine, made, kit)
    await use_with_wrong_secrets(mine, made, kit)
    await use_with_failing_adapter(mine, made, kit, monkeypatch)
    assert (await mine.call("DELETE", f"/providers/{made.id}?force=true")).status == 204
    assert await listening.all()
    assert everything.look() == []
    people = [kit.person(tail) for tail in (123, 124, 125, 126, 150, 160, 164, 185)]
    assert everything.strangers(*people, *PRIVATE) == []
    assert len(everything.answers) > 30


# Leaks ----------------------------------------------------------------------------------------------------------------


def leak_into_log(monkeypatch, ready):
    """Log a provider's settings."""
    real = Directory.accounts

    async def accounts(self, provider, **more):
        found = await real(self, provider, **more)
        logging.getLogger("sms.leak").debug("using %s", dict(found[0].settings))
        return found

    monkeypatch.setattr(Directory, "accounts", accounts)


def leak_into_answer(monkeypatch, ready):
    """Answer with what went wrong in the exception's own words."""

    async def check(self, account, http):
        from functions.vendors.contract import Check

        return Check(ok=False, detail=f"could not sign in with {account.settings['authToken']}")

    monkeypatch.setattr(type(ready.gateway.application.vendors["twilio"]), "check", check)


def leak_into_row(monkeypatch, ready):
    """Keep the vendor's words, which quote the header that was sent."""
    from functions.vendors.contract import Reason, Refused

    async def send(self, account, call, http):
        pair = f"{account.settings['accountSid']}:{account.settings['authToken']}"
        said = f"Authorization: Basic {base64.b64encode(pair.encode()).decode()}"
        return {message.id: Refused(Reason.OTHER, detail=said) for message in call.messages}

    monkeypatch.setattr(type(ready.gateway.application.vendors["twilio"]), "send", send)


def leak_into_queue(monkeypatch, ready):
    """Put more into the queue than the batch's id."""
    from functions.gateway import envelope

    real = envelope.dispatch
    token = f',"token":"{TOKENS["first"]}"}}'
    monkeypatch.setattr(envelope, "dispatch", lambda batch, **more: real(batch, **more)[:-1] + token)


def leak_into_traceback(monkeypatch, ready):
    """Let an exception with a credential in it out of a function that a queue starts, as it would be unguarded."""

    async def dispatch(self, batch, **more):
        raise ValueError(f"bad connection string endpoint=x;accesskey={ACS_KEYS['first']}")

    async def unguarded(_, work):
        await work()

    monkeypatch.setattr(type(ready.gateway.application.dispatcher), "dispatch", dispatch)
    monkeypatch.setattr(workers, "carry_out", unguarded)


def leak_into_span(monkeypatch, ready):
    """Put the header that was sent on the span of the call."""
    vendor = type(ready.gateway.application.vendors["twilio"])
    real = vendor.send

    async def send(self, account, call, http):
        from opentelemetry import trace

        trace.get_current_span().set_attribute("sms.header", account.settings["authToken"])
        return await real(self, account, call, http)

    monkeypatch.setattr(vendor, "send", send)


LEAKS = {
    "exported": (leak_into_span, "twilio first"),
    "logs": (leak_into_log, "twilio first"),
    "answers": (leak_into_answer, "twilio first"),
    "rows": (leak_into_row, "twilio first"),
    "queued": (leak_into_queue, "twilio first"),
    "traceback": (leak_into_traceback, "acs first"),
}


@pytest.mark.parametrize("where", list(LEAKS))
async def test_the_search_finds_a_leak(mine, everything, monkeypatch, where):
    """A credential that is let out on purpose is found, wherever it is: the test above can fail."""
    leak, canary = LEAKS[where]
    made = await create(mine)
    assert everything.look() == []
    leak(monkeypatch, mine)
    place, sender = made["twilio"]
    await mine.call("POST", f"{place}/check")
    await mine.send(sender, PERSON)
    found = []
    for _ in range(100):
        found = everything.look()
        if found:
            break
        await asyncio.sleep(0.02)
    assert (canary, {"traceback": "logs"}.get(where, where)) in found


async def test_the_search_finds_a_number(mine, everything, listening):
    """A number and a text that get into a log line of ours are found there and in what is exported."""
    logging.getLogger("sms.leak").info("Hello to %s", PERSON[1:])
    await listening.telemetry.close()
    found = everything.strangers(PERSON, "Hello")
    assert found == [(word, place) for word in (PERSON[1:], "Hello") for place in ("exported", "logs")]


@pytest.mark.parametrize("name", list(CANARIES))
def test_spellings_are_found(name):
    """A canary is found as it is and inside base64 at any offset, and no canary hides in another's spelling."""
    secret = CANARIES[name]
    for text in (
        secret,
        quote(secret, safe=""),
        *(base64.b64encode(b"AC12345:"[:offset] + secret.encode() + b"tail").decode() for offset in range(8)),
    ):
        assert (name, "logs") in Everything(logs=[f"before {text} after"]).leaks(), text
