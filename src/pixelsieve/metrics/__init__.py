"""One definition of every figure of merit, with its uncertainty."""
