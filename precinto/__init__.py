"""Precinto: the engine with which a copyright authority acts on infringing services, fast but lawfully."""
