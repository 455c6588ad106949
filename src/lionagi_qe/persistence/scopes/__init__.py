"""Parts of a memory: what may be read, written, queued and leased through a handle."""
