"""Infobip SMS, as its customers meet it.

Sources: the OpenAPI files Infobip publishes for SMS (version 3.210.0), Subscriptions and Resources, and its pages
"Response status and error codes", "Rate limits and throttling", "Subscription groups" and "Sending SMS over API". What
Infobip does not publish is marked ASSUMED where it is decided.

Not simulated: the v1 and v2 ways to send, binary texts, XML, scheduled bulks once they are accepted, delivery time
windows and validity periods beyond their checks, the flooding filter, blocklists over the API, HMAC and OAuth webhooks,
client certificates, other channels. Keys come as `Authorization: App`; the other three ways in are not played.
"""

from sandbox.vendors.infobip.codes import FAILURES, REFUSALS
from sandbox.vendors.infobip.kit import KIT
from sandbox.vendors.infobip.outbox import RETRY_SECONDS
from sandbox.vendors.infobip.records import Account, ApiKey, Number
from sandbox.vendors.infobip.vendor import InfobipVendor

VENDOR = InfobipVendor

__all__ = [
    "FAILURES",
    "KIT",
    "REFUSALS",
    "RETRY_SECONDS",
    "VENDOR",
    "Account",
    "ApiKey",
    "InfobipVendor",
    "Number",
]
