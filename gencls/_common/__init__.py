"""What every room uses: checks of parameters, files written whole, natural order, pipelines unwrapped."""
