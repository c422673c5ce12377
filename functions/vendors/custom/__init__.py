"""A vendor that is described by configuration alone; docs/custom-vendor.md says how."""

from functions.vendors.custom.adapter import Custom

__all__ = ["Custom"]

vendor = Custom()
