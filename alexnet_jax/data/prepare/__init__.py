"""Making the prepared copy."""
