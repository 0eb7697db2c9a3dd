"""What raw input becomes before a model sees it: fitted on training data, computed alike for training and in the graph."""
