"""Probers: what an ISP's customers get, measured."""
