"""From TFRecords to training batches."""
