"""What results and runs tell. Reads files; knows no model and no torch."""
