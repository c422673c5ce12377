"""The SMS gateway: triggers, rules, vendors and storage."""

__version__ = "0.1.0"
