"""Pictures of bodies: a rasteriser without display or OpenGL, shading, overlays."""
