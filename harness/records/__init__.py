"""The types that travel between the rooms, and are the file formats."""
