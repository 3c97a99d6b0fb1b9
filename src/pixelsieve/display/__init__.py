"""Tables and charts as values, and what prints them: terminal, HTML, matplotlib."""
