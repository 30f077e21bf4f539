"""The leaf IR: the plan of one call."""
