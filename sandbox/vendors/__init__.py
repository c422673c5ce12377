"""One module or package per simulated vendor; `sandbox.registry` finds them by their `VENDOR`."""
