"""The vendors, simulated offline from their own documentation."""
