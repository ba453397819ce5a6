"""Machine-dependent code: devices, compilers, native kernels, CUDA graphs, random numbers."""
