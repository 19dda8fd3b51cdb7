"""Other people's tools that open what we write, in an environment of their own: they pin what we do not want."""
