"""The same on many hosts, by Dask distributed: a task is the boots of one seed, or some tests."""
