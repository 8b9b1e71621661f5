"""Hunting for references, memory blocks and descriptors that are lost."""
