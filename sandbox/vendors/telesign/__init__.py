"""Telesign SMS (`/v1/messaging`), as its customers meet it.

Sources: Telesign's published OpenAPI documents "Engage SMS API" and "Engage callbacks", and the pages "All status and
error codes", "Authentication", "Authenticate callbacks", "Transaction callback service", "Get started with inbound
SMS", "Inbound SMS action to keyword mapping" and "Handle unsubscribe requests" of developer.telesign.com/enterprise;
rates from support.telesign.com, "Do you have any rate limits?". What Telesign does not publish is marked ASSUMED.

The order to read it in: records, wire, credentials, desk, vendor, callbacks.
"""

from sandbox.vendors.telesign.kit import KIT
from sandbox.vendors.telesign.records import Account, Number
from sandbox.vendors.telesign.vendor import TelesignVendor
from sandbox.vendors.telesign.wire import STATUS_CODES, sign, sign_request

VENDOR = TelesignVendor

__all__ = [
    "KIT",
    "STATUS_CODES",
    "VENDOR",
    "Account",
    "Number",
    "TelesignVendor",
    "sign",
    "sign_request",
]
