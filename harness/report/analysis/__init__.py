"""What the numbers say: statistics, verdicts, trends."""
