"""From beam to clusters: tracks, charge, transport and readout of simulated particles."""
