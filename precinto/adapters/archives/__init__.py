"""Archives: what the wire record of a capture holds, in forms that other people's tools read."""
