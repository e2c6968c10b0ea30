"""The decoder `cbor`: CBOR items."""
