"""Names that lie hidden in a store: of keys, partitions, queues, leases and their like."""
