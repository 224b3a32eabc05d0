"""Loops: callbacks folded through one `lax.while_loop`."""
