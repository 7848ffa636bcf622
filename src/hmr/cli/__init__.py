"""The verbs, one file each: flags in, one call down, exit code out."""
