"""The figures of the notebooks, one module per theme; `style` holds what they share.

Every figure function takes arrays and returns a matplotlib Figure; nothing here computes a result.
"""
