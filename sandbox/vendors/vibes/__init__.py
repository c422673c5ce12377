"""Vibes Connect (the HTTP Message API of messageapi.vibesapps.com), as its customers meet it: XML in and out.

Sources: https://developer-aggregation.vibes.com/reference/ with the pages send-an-sms-message, callbacks,
receiving-messages, retrieve-info-from-the-api, retrieve-message-responses, delivery-receipt-response-codes, and
the older https://developer.vibes.com/display/CONNECTV3/submitMtMessage. What Vibes does not publish is marked ASSUMED:
the XML of a refusal, 401, 404, 415 and 429, what is sent when only errors of the SMSC are asked for, what an API user
without codes may send from, the type of a long code (`LC`), and that `STOP` blocks nobody.

Not simulated: alternate delivery, premium messages, client certificates, bundles, replies in several parts.
"""

from sandbox.vendors.vibes.kit import KIT
from sandbox.vendors.vibes.receipts import FAILED
from sandbox.vendors.vibes.records import Account, Number
from sandbox.vendors.vibes.vendor import VibesVendor

VENDOR = VibesVendor

__all__ = ["FAILED", "KIT", "VENDOR", "Account", "Number", "VibesVendor"]
