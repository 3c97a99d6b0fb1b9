"""Networks as exact integer programs and as adder graphs, from the features or from the pixels."""
