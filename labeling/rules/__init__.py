"""Event rules: YAML for structure, a small expression language for conditions, numpy kernels for meaning."""
