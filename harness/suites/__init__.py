"""Suites of tests with verdicts, and what they did to the kernels."""
