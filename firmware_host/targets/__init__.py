"""The targets that ship with the package: one TOML file each, with the source of every figure in a comment."""
