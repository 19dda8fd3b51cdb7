"""Captures web sites with a real Chromium, as a visitor sees them."""
