"""The audit of a prepared copy."""
