"""Channels: the ways in which notices reach an ISP."""
