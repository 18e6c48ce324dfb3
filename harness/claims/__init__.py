"""What the project's pages say, held against the record."""
