"""What this process holds in memory for all who look: the mirror of the board, the jobs being watched, readings."""
