"""Answers of trained nets, one or together."""
