"""The maths, the features and the models: pure functions on arrays, bundles of files, training."""
