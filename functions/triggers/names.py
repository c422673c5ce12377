"""Names that something outside of Python refers to: Event Grid subscriptions, Bicep, alerts, set-up steps."""

from __future__ import annotations

REPORT_EVENTS = "sms_delivery_report_received"
INBOUND_EVENTS = "sms_received"
DISPATCH = "dispatch_batch"
SWEEP = "sweep_batches"
TIDY = "delete_by_age"
ERASE = "erase_people"
WATCH = "watch_queues"
QUEUED_EVENTS = "sms_event_queued"

EVENTS_QUEUE = "sms-vendor-events"
EVENTS_POISON_QUEUE = f"{EVENTS_QUEUE}-poison"
POISON_LINE = "Poison queue "
"""How the log line begins that the alert on poison queues looks for."""
