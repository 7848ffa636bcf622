"""Reading and writing: files that appear only when complete, and bytes of unknown origin."""
