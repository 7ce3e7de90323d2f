"""What a run tells along the way: curves, forgetting, the order of acquisition. Reads run directories only."""
