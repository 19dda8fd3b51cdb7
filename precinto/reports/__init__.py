"""Reports for people: what the records say, on paper, in the languages of the authority."""
