"""The pages: HTML, Markdown, mail, terminal."""
