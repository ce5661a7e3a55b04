"""Media: what may come in, how it is read, and what is made of it."""
