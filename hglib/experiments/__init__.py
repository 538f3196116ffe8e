"""Measurements: every figure that the notebooks and the README show comes from a module here."""
