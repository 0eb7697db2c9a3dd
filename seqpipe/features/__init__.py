"""What raw input becomes before a model sees it: fitted on training data, the same for training and in the graph."""
