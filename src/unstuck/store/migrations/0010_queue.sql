-- The triage queue: cases whose outcome nobody knows are the ones to see first, and few among many. A walk over all open
-- cases would end before it has met them; this index holds only them, so no other case pays for it.
CREATE INDEX case_unknown_outcome ON fallout_case (detected_at, id) WHERE recoverability = 'unknown_outcome'
    AND state NOT IN ('RESOLVED_RESUME', 'RESOLVED_CANCEL', 'RESOLVED_COMPENSATE', 'RESOLVED_NONE', 'CLOSED');
