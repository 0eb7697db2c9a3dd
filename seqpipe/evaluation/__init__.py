"""Metrics with intervals, baselines, pictures and reports; numpy and scikit-learn, no TensorFlow."""
