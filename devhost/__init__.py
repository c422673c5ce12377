"""Runs the FunctionApp on a laptop with the semantics of the Azure Functions host."""
