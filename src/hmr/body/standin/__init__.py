"""The stand-in body: SMPL's exact structure around an invented figure, free of any licence."""
