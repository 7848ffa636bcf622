"""Images, crops, cameras, rendering and mesh files."""
