-- Search: what a source calls its message or its flow leads to its cases, the newest first, however many share the name.
-- Cases of our own engine carry no such name and are not in this index; a case never changes it.
CREATE INDEX case_by_correlation ON fallout_case (correlation_id, detected_at, id) WHERE correlation_id <> '';
