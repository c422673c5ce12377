"""Credentials: written, never read back, kept in the secret store alone, and changed without losing a message."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest

from functions.vendors.contract import TOKEN
from functions.vendors.registry import vendors
from tests.triggers import store
from tests.triggers.problems import check_problem

PERSON = "+14255550123"


def secrets_of(made):
    """Return the secret parts of a provider's settings."""
    found = []
    for setting in vendors()[made.vendor].description.settings:
        value = made.settings.get(setting.name) if setting.secret else None
        found += value.values() if isinstance(value, dict) else [value] if value else []
    return [secret.rpartition("accesskey=")[2] for secret in found]


async def test_credentials_are_write_only(ready, path):
    """A credential lies in the secret store and nowhere else: in no answer, no table and no queue."""
    answers = []
    for made in ready.made.values():
        place = f"/providers/{made.id}"
        await ready.delivered(made, PERSON)
        for method, route in (
            ("GET", place),
            ("GET", "/providers"),
            ("GET", f"{place}/callbacks"),
            ("GET", f"{place}/senders"),
            ("POST", f"{place}/check"),
            ("POST", f"{place}/finish"),
            ("GET", "/messages"),
            ("GET", "/health"),
        ):
            answers.append(await ready.call(method, route))
        answers.append(await ready.call("PATCH", place, {"name": "Other"}, headers={"If-Match": "*"}))
    assert all(answer.status == 200 for answer in answers)
    seen = json.dumps([[answer.body, dict(answer.headers)] for answer in answers])
    stored = repr(store.rows(path)) + repr(store.queued(path))
    kept = json.dumps(store.secrets(path))
    for made in ready.made.values():
        assert secrets_of(made)
        for secret in secrets_of(made):
            assert secret in kept
            assert secret not in seen
            assert secret not in stored
        shown = (await ready.call("GET", f"/providers/{made.id}")).body
        assert set(shown["settings"]) | set(shown["secretsSet"]) - {TOKEN} == set(made.settings)


async def test_a_replaced_secret_is_gone(ready, path):
    """A changed credential replaces the old one in the secret store, which keeps no trace of it."""
    old = ready.twilio.settings["authToken"]
    assert old in json.dumps(store.secrets(path))
    change = {"settings": {"authToken": "9" * 32}}
    await ready.call("PATCH", f"/providers/{ready.twilio.id}", change, headers={"If-Match": "*"})
    kept = json.dumps(store.secrets(path))
    assert "9" * 32 in kept
    assert old not in kept
    assert len(store.secrets(path)) == len(ready.made)
    # Renaming it does not touch the secret.
    names = set(store.secrets(path))
    await ready.call("PATCH", f"/providers/{ready.twilio.id}", {"name": "x"}, headers={"If-Match": "*"})
    assert set(store.secrets(path)) == names


class Traffic:
    """Messages out and texts in, one after the other, while credentials change."""

    def __init__(self, ready, made):
        self.ready, self.made = ready, made
        self.sent, self.texts = [], []
        self._stopping = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def _run(self):
        number = 0
        while not self._stopping.is_set():
            number += 1
            self.sent += await self.ready.send(self.made, PERSON, f"Message {number}")
            text = f"Text {number}"
            body = {"from": PERSON, "to": self.made.address, "text": text}
            await self.ready.ask("POST", f"/{self.made.vendor}/inbound", body)
            self.texts.append(text)
            await asyncio.sleep(0.02)

    async def settle(self, more=3):
        """Let a few more messages pass and wait until all so far have arrived."""
        wanted = len(self.sent) + more
        while len(self.sent) < wanted:
            assert not self._task.done(), self._task.exception()
            await asyncio.sleep(0.01)
        for identity in list(self.sent):
            await self.ready.until(identity, "delivered")

    async def end(self):
        """Stop and hold all three books against each other: what was taken, what was sent, what came back."""
        self._stopping.set()
        await self._task
        for identity in self.sent:
            await self.ready.until(identity, "delivered")
        await self.ready.sandbox.idle()
        ledger = await self.ready.ledger(self.made.vendor)
        assert sorted(entry["text"] for entry in ledger) == sorted(f"Message {n + 1}" for n in range(len(self.sent)))
        items = (await self.ready.call("GET", "/inbound?limit=500")).body["items"]
        assert sorted(item["text"] for item in items) == sorted(self.texts)


async def change(ready, made, **settings):
    """Change settings of a provider and make sure that it was done."""
    answer = await ready.call("PATCH", f"/providers/{made.id}", {"settings": settings}, headers={"If-Match": "*"})
    assert answer.status == 200, answer.body
    return answer.body


async def test_twilio_rotation_under_traffic(ready):
    """A whole rotation of Twilio's auth token, with messages and replies passing all the while, loses and doubles none.

    Source of the steps: https://www.twilio.com/docs/iam/api/authtoken.
    """
    made = ready.twilio
    traffic = Traffic(ready, made)
    await traffic.settle()
    account = f"/twilio/accounts/{made.settings['accountSid']}"
    new = (await ready.ask("POST", f"{account}/secondary"))["secondary"]
    shown = await change(ready, made, authTokenSecondary=new)
    assert shown["secretsSet"] == ["authToken", "authTokenSecondary"]
    checked = (await ready.call("POST", f"/providers/{made.id}/check")).body["checked"]
    assert [(one["credentials"], one["ok"]) for one in checked] == [("primary", True), ("secondary", True)]
    await traffic.settle()
    await ready.ask("POST", f"{account}/promote")
    # From here on Twilio signs with the new token and refuses the old one, which the gateway still has as primary.
    await traffic.settle()
    checked = (await ready.call("POST", f"/providers/{made.id}/check")).body["checked"]
    assert [(one["credentials"], one["ok"]) for one in checked] == [("primary", False), ("secondary", True)]
    shown = await change(ready, made, authToken=new, authTokenSecondary=None)
    assert shown["secretsSet"] == ["authToken"]
    await traffic.settle()
    assert (await ready.call("POST", f"/providers/{made.id}/check")).body["ok"] is True
    await traffic.end()


async def test_acs_rotation_under_traffic(ready):
    """A whole rotation of an ACS resource's access keys loses and doubles no message.

    Source of the steps: https://learn.microsoft.com/azure/communication-services/concepts/authentication.
    """
    made = ready.acs
    traffic = Traffic(ready, made)
    keys = [base64.b64encode(word * 32).decode() for word in (b"2", b"3")]
    resource = {"name": made.account, "numbers": [made.address]}
    first = made.settings["connectionString"]
    endpoint, _, old = first.partition(";accesskey=")
    strings = [f"{endpoint};accesskey={key}" for key in keys]
    await traffic.settle()
    await ready.ask("POST", "/acs/resources", resource | {"keys": [old, keys[0]]})
    await change(ready, made, connectionStringSecondary=strings[0])
    await traffic.settle()
    await ready.ask("POST", "/acs/resources", resource | {"keys": [keys[1], keys[0]]})
    await traffic.settle()
    await change(ready, made, connectionString=strings[1], connectionStringSecondary=None)
    await traffic.settle()
    await ready.ask("POST", "/acs/resources", resource | {"keys": [keys[1]]})
    await traffic.settle()
    await traffic.end()


async def test_callbacks_of_both_tokens(ready, post_signed):
    """While two tokens are set a callback signed with either is taken, and with one removed only the other."""
    made = ready.twilio
    old, new = made.settings["authToken"], "a1" * 16
    urls = (await ready.call("GET", f"/providers/{made.id}/callbacks")).body

    async def taken(token, number):
        form = {
            "MessageSid": f"SM{number:032}",
            "AccountSid": made.settings["accountSid"],
            "From": PERSON,
            "To": made.address,
            "Body": "x",
        }
        return (await post_signed(urls["inbound"], form, token)).status

    assert [await taken(old, 1), await taken(new, 2)] == [200, 403]
    await change(ready, made, authTokenSecondary=new)
    assert [await taken(old, 3), await taken(new, 4), await taken("b" * 32, 5)] == [200, 200, 403]
    await change(ready, made, authToken=new, authTokenSecondary=None)
    assert [await taken(old, 6), await taken(new, 7)] == [403, 200]
    kept = {item["vendorId"] for item in (await ready.call("GET", "/inbound")).body["items"]}
    assert kept == {f"SM{number:032}" for number in (1, 3, 4, 7)}


async def test_only_wrong_credentials_fall_back(ready):
    """The secondary credentials are tried after a refusal of the primary ones, and after nothing else."""
    made = ready.twilio
    await change(ready, made, authTokenSecondary="e" * 32)
    (identity,) = await ready.send(made, "+14255550150")
    assert (await ready.until(identity))["reason"] == "invalid_recipient"
    calls = (await ready.ask("GET", "/twilio/calls?limit=1000"))["items"]
    assert len([call for call in calls if call["method"] == "POST"]) == 1


async def test_no_good_credentials_at_all(ready):
    """With every set of credentials refused the message fails, names the credentials and quotes none."""
    made = ready.twilio
    await change(ready, made, authToken="c" * 32, authTokenSecondary="d" * 32)
    (identity,) = await ready.send(made, PERSON)
    message = await ready.until(identity)
    assert (message["status"], message["reason"]) == ("failed", "credentials")
    assert "c" * 32 not in json.dumps(message)
    calls = (await ready.ask("GET", "/twilio/calls?limit=1000"))["items"]
    assert [call["status"] for call in calls if call["method"] == "POST"] == [401, 401]


@pytest.mark.parametrize("state", ["draft", "disabled"])
async def test_callbacks_reach_providers_that_do_not_send(ready, post_signed, state):
    """A draft and a disabled provider take callbacks: reports of what was sent before, and the test of a set-up."""
    made = ready.twilio
    if state == "draft":
        made = await ready.make("twilio", account="two", sender=("long_code", "+14255550112"), finish=False)
    else:
        await ready.call("PATCH", f"/providers/{made.id}", {"state": state}, headers={"If-Match": "*"})
    urls = (await ready.call("GET", f"/providers/{made.id}/callbacks")).body
    form = {"MessageSid": "SM1", "From": PERSON, "To": made.address, "Body": "Hello"}
    assert (await post_signed(urls["inbound"], form, made.settings["authToken"])).status == 200
    assert (await ready.call("GET", "/inbound")).body["items"][0]["provider"] == made.id


async def test_callback_to_a_draft_without_credentials(gateway, post_signed):
    """A draft that has no credentials yet refuses callbacks, saying what it lacks."""
    body = {"vendor": "twilio", "name": "x"}
    created = (await gateway.call("POST", "/providers", body)).body
    urls = (await gateway.call("GET", f"/providers/{created['id']}/callbacks")).body
    problem = check_problem(await post_signed(urls["inbound"], {"MessageSid": "SM1"}, "a" * 32), 403)
    assert "authToken" in problem["detail"]
