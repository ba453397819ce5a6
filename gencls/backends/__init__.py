"""Everything that depends on the machine: devices, compilers, our kernels, CUDA graphs, random numbers."""
