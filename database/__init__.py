"""What is kept: tables, engine and pools, and the embedded Postgres."""
