"""What happens when a Functions host imports the app."""

from __future__ import annotations

from functions.app import check_settings

__all__ = ["check_settings"]
