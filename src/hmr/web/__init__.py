"""The local web page: upload a photo or a video, look at the bodies, download their files."""
