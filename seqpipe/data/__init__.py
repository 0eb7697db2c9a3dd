"""Where rows come from, whether they can be trained on, and in which order they are learned."""
