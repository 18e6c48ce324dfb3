"""How what is shown looks: the layout and the colours of pages, and the theme of plots."""
