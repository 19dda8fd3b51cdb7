"""What meets the outside world: one folder for each port, each module one way to serve it."""
