"""The same boots on many hosts, by Dask distributed: each task is a group of boots of one seed."""
