"""The functions of `import pixelsieve as ps`, over which the command line is a thin skin."""
