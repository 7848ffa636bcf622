"""The model behind a server: in-graph decoding and cropping, SavedModel export and its check."""
