"""The schema of a pipeline file: the only place where a default is written. TensorFlow is never imported here."""
