"""The SMPL body: joint tables, rotations, the layer, model files and the stand-in body."""
