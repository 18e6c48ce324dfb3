"""Test suites in a guest: what passed, what failed, what killed the kernel."""
