"""What the tests of LINK share: a customer, made through the control API, and its requests as raw HTTP."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from hashlib import blake2b

import orjson

from sandbox.kit import Addresses, Customer
from sandbox.vendors.linkmobility import KIT, LinkMobilityVendor

TOKEN = "T0kenInThePath"


def secret(name):
    """Give a secret as a customer has it: 32 hexadecimal digits."""
    return blake2b(name.encode(), digest_size=16).hexdigest()


def basic(user, password):
    """Return the header of Basic authentication."""
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


@dataclass
class Link:
    """A customer of LINK.

    Attributes:
        sandbox: The sandbox.
        control: Its control API.
        http: What to talk through.
        settings: What the customer knows of its account.
        account: What the account was made of.
        addresses: Where its callbacks go.
    """

    sandbox: object
    control: object
    http: object
    settings: dict = field(default_factory=dict)
    account: dict = field(default_factory=dict)
    addresses: Addresses = field(default_factory=lambda: Addresses("", ""))

    @property
    def vendor(self):
        return self.sandbox.vendor(LinkMobilityVendor)

    @property
    def login(self):
        return basic(self.settings["username"], self.settings["password"])

    @property
    def platform(self):
        return {name: self.settings[name] for name in ("platformId", "platformPartnerId")}

    @property
    def below(self):
        return f"/linkmobility/accounts/{self.settings['username']}"

    async def ask(self, method, path, body=None, headers=None):
        """Make a request; gives status, body read as JSON where it is some, and headers."""
        options = {"json": body} if isinstance(body, dict | list) else {"data": body}
        async with self.http.request(
            method, self.settings["baseUrl"] + path, headers=self.login if headers is None else headers, **options
        ) as answer:
            text = await answer.read()
            return answer.status, orjson.loads(text) if answer.content_type == "application/json" else text, answer

    def message(self, to="+4745550100", **fields):
        """Describe one message; a field given as `None` is left out."""
        whole = {
            "source": "2333",
            "sourceTON": "SHORTNUMBER",
            "destination": to,
            "userData": "Hello",
            "refId": f"ref-{to}",
            **fields,
        }
        return {name: value for name, value in whole.items() if value is not None}

    def shared(self, **fields):
        """Describe a request; a field given as `None` is left out."""
        whole = {
            **self.platform,
            "deliveryReportGates": [self.settings["reportGate"]],
            "ignoreResponse": False,
            **fields,
        }
        return {name: value for name, value in whole.items() if value is not None}

    async def send(self, to="+4745550100", headers=None, **fields):
        """Send one message; gives status and answer."""
        return (await self.ask("POST", "/sms/send", self.shared() | self.message(to, **fields), headers))[:2]

    async def batch(self, messages, headers=None, **fields):
        """Send several; gives status and answer."""
        body = self.shared(**fields) | {"sendRequestMessages": messages}
        return (await self.ask("POST", "/sms/sendbatch", body, headers))[:2]

    async def change_account(self, **fields):
        """Make the account anew with other properties."""
        self.account |= fields
        await self.control.ask("POST", "/linkmobility/accounts", self.account)

    async def change_gate(self, kind="report", **fields):
        """Make a gate anew with other properties."""
        calls = {call.body.get("refId"): call for call in KIT.wiring(customer(), self.addresses)}
        await self.control.ask("POST", calls[kind].path, {**calls[kind].body, **fields})


def customer():
    return Customer("one", secret, KIT.sender)


async def become_customer(sandbox, control, http, endpoint):
    """Make the account and its wiring as the demo does."""
    one = customer()
    link = Link(sandbox, control, http, dict(KIT.settings(one, sandbox.base_url)))
    link.addresses = Addresses(f"{endpoint.url}/report/{TOKEN}", f"{endpoint.url}/inbound/{TOKEN}")
    for call in (*KIT.account(one), *KIT.wiring(one, link.addresses)):
        await control.ask("POST", call.path, dict(call.body), status=201)
    link.account = dict(KIT.account(one)[0].body)
    return link
