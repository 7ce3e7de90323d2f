"""What a report shows, a file a question: each section a function of what is reported."""
