"""Mobile and desktop apps: the page where one is offered, the file that it gives, and what the file says."""
