"""The ways in, which make their loops themselves."""
