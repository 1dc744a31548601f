"""One run on disk: config, checkpoints, log, and what is restored from them."""
