"""Whether what the project ships can be built, installed and imported by somebody else."""
