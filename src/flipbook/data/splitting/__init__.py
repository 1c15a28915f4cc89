"""Records become training, validation and test data that share nothing."""
