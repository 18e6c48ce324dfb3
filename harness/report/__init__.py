"""From a run's files alone to tables, plots, HTML, Markdown, CSV and JSON.

pandas, scipy and matplotlib are imported in this room only; the command line
imports the room when it needs it.
"""
