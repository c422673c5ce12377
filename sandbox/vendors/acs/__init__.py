"""Azure Communication Services SMS, as its customers meet it.

Sources: the published OpenAPI file and examples (azure-rest-api-specs, specification/communication/data-plane/Sms),
Microsoft Learn: "REST authentication" and "SMS FAQ" of Communication Services, "Communication Services as an Event
Grid source - SMS", "Repeatable requests" (OASIS). What Microsoft does not publish is marked ASSUMED.
"""

from sandbox.vendors.acs.kit import KIT
from sandbox.vendors.acs.records import Resource
from sandbox.vendors.acs.vendor import AcsVendor
from sandbox.vendors.acs.wire import REPORT_DETAILS, signature

VENDOR = AcsVendor

__all__ = ["KIT", "REPORT_DETAILS", "VENDOR", "AcsVendor", "Resource", "signature"]
