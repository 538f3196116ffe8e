"""Photographs of any size: read them, find faces, cut out, label, export the network."""
