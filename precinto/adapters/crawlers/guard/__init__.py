"""The only way out of a capture: what may be reached, and the record of every byte that went there and back."""
