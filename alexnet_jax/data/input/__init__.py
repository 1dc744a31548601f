"""From prepared images to the net's input: batches on the host, crops and colour on devices."""
