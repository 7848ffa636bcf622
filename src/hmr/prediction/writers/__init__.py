"""What a prediction is written as: npz, json, pictures, a page, meshes, motion."""
