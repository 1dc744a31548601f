"""The batches of a step, and what the device does to them."""
