"""Twilio Programmable Messaging, as its customers meet it.

Sources: the published OpenAPI file (twilio-oai, twilio_api_v2010.json) and Twilio's pages "Messages resource", "Error
and warning dictionary", "Outbound message status in status callbacks", "Webhook request", "Webhooks security",
"Webhook connection overrides", "Advanced Opt-Out". What Twilio does not publish is marked ASSUMED.
"""

from sandbox.vendors.twilio.kit import KIT
from sandbox.vendors.twilio.overrides import overrides
from sandbox.vendors.twilio.records import Account, Number, Service
from sandbox.vendors.twilio.vendor import TwilioVendor
from sandbox.vendors.twilio.wire import ERROR_CODES, is_callback_url, sign

VENDOR = TwilioVendor

__all__ = [
    "ERROR_CODES",
    "KIT",
    "VENDOR",
    "Account",
    "Number",
    "Service",
    "TwilioVendor",
    "is_callback_url",
    "overrides",
    "sign",
]
