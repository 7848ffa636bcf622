"""What the converters share: jobs, shards, people, pictures."""
