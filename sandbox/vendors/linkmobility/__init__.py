"""LINK Mobility's Common platform, as its customers meet it.

Sources: LINK's documents "SMS REST API - MT and Delivery Reports" (1.18), "SMS REST API - MO messages" (1.7), "Common
Platform - Gate API" (1.2) and "Keyword API" (1.1), as published in github.com/deveel/deveel.lm.client under `docs/`.
What they do not say is marked ASSUMED.

Not simulated: premium messages, `scheduledTime`, routes by sub-number, gates that post XML, forms or by GET, a gate's
`throttle`, and the country a short code is limited to.
"""

from sandbox.vendors.linkmobility.kit import KIT
from sandbox.vendors.linkmobility.records import Account, Destination, Gate, KeywordRoute, Number
from sandbox.vendors.linkmobility.vendor import LinkMobilityVendor
from sandbox.vendors.linkmobility.wire import REPORT_CODES

VENDOR = LinkMobilityVendor

__all__ = [
    "KIT",
    "REPORT_CODES",
    "VENDOR",
    "Account",
    "Destination",
    "Gate",
    "KeywordRoute",
    "LinkMobilityVendor",
    "Number",
]
