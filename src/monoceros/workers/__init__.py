"""What runs in the child processes."""
