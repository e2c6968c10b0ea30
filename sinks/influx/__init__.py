"""The sink that writes to InfluxDB, and to what speaks its line protocol."""
