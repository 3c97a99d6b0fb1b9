"""From a trained network to Verilog that gives bit for bit the same answers."""
