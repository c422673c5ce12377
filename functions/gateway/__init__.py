"""The rules of the gateway; knows no HTTP trigger, no Azure service and no vendor by name."""
