"""Predictions of trained nets, of one net or of several averaged."""
