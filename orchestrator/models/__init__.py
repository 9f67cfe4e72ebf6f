"""Weights: fetched from where the plan says, checked byte by byte, kept once for all stacks."""
