"""One update: state, compiled step, optimizer, schedule and metrics."""
