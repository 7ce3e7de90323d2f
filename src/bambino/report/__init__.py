"""What is drawn: tables, plots, pages. The only place besides the command line and the demo that draws."""
