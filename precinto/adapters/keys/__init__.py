"""Where officers keep the keys that they sign decisions with."""
