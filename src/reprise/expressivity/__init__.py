"""What networks can express: pruned random ones, binary ones, thresholds, loops."""
