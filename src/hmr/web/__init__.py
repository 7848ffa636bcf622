"""The local web page: a photo in, a body to look at and to download out."""
