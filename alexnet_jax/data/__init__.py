"""Images on disk to uint8 batches: prepare once, then read, shuffle and batch on the host."""
