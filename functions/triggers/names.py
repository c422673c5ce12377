"""The names of functions that something outside of Python refers to: Event Grid subscriptions, Bicep, set-up steps."""

from __future__ import annotations

REPORT_EVENTS = "sms_delivery_report_received"
INBOUND_EVENTS = "sms_received"
DISPATCH = "dispatch_batch"
SWEEP = "sweep_batches"
