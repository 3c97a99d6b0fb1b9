"""Float Keras and QKeras model files of other programs, read without TensorFlow."""
