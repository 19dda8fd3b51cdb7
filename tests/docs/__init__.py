"""The documentation says what the code does, and nothing else."""
