"""Carry the network down into rows: follow a firehose, verify it, repair it, keep it in Postgres."""
