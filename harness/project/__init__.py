"""What a project says: harness.toml's models and what they mean."""
