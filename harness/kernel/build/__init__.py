"""From a tree, patches and a configuration to a kernel."""
