"""What a description means, once names are looked up and facts are checked."""
