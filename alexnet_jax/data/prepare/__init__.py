"""Make the prepared copy of a dataset."""
