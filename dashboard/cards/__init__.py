"""Pieces of pages, each with its widgets: what a view reads from top to bottom is made of these."""
