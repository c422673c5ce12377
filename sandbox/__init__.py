"""The SMS vendors, simulated offline from their own documentation.

Nothing here is written from the gateway's adapters: a wrong adapter is meant to fail against it.
"""
