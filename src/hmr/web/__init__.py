"""The local web page: upload a photo, look at the body, download its files."""
