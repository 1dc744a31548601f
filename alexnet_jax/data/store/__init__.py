"""The prepared copy on disk, and its statistics."""
