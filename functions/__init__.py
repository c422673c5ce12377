"""The SMS gateway: triggers, rules, vendors and storage."""
