"""Crawlers: they visit a target as a visitor would, and bring back what was seen."""
