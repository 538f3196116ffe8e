"""What each part is worth: one row for each change of the default, over several seeds."""
