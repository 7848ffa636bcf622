"""Where the people of a picture are, when nobody says."""
