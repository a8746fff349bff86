"""Everything kept in Postgres: migrations and queries as `.sql` files, and the repository."""
