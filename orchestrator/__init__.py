"""Stands up, verifies, diagnoses and measures a self-hosted multilingual retrieval stack."""
