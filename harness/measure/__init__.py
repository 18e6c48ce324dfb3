"""Measurements: workloads, their schedule, their execution."""
