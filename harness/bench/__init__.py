"""The experiment: its plan, its execution, its record."""
