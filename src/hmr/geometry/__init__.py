"""Where a person lies in a picture: the crop in its three forms, and the cameras."""
