"""Networks: as data, their bits, their weights, their Keras models, their files."""
