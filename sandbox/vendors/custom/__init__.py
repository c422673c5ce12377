"""46elks SMS, as its customers meet it: the API that the gateway's `custom` vendor is shown with.

Any HTTP API of this kind can be described to that vendor; this one is simulated since its pages are public and short.
`definition.json` is its description, written from the same pages.

Sources: https://46elks.com/docs/ with the pages send-sms, sms-delivery-reports, receive-sms, sms-actions, show-sms-id,
sms-history and get-account, https://46elks.com/kb/text-sender-id and https://46elks.se/faq (out of credits); answers to
wrong requests as recorded in github.com/jage/elk under `spec/fixtures`. What neither says is marked ASSUMED.

Not simulated: numbers over the API (the control API has them), static actions in place of an address, forwarding, MMS,
voice, conversations, and the 100 texts a minute beyond which 46elks queues and never refuses.
"""

from sandbox.vendors.custom.callbacks import RETRY_SECONDS
from sandbox.vendors.custom.kit import DEFINITION, KIT
from sandbox.vendors.custom.records import Account, Number
from sandbox.vendors.custom.vendor import CustomVendor

VENDOR = CustomVendor

__all__ = ["DEFINITION", "KIT", "RETRY_SECONDS", "VENDOR", "Account", "CustomVendor", "Number"]
