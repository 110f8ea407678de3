-- The triage queue: what nobody has taken yet, and what stands between a customer and an invoice, each counted and shown
-- along an index that holds nothing else. A walk over all open cases would end before it has met the few among the many.
CREATE INDEX case_unowned ON fallout_case (detected_at, id) WHERE state IN ('DETECTED', 'CLASSIFIED', 'QUEUED');
CREATE INDEX case_of_revenue ON fallout_case (detected_at, id) WHERE domain IN ('billing', 'pricing')
    AND state NOT IN ('RESOLVED_RESUME', 'RESOLVED_CANCEL', 'RESOLVED_COMPENSATE', 'RESOLVED_NONE', 'CLOSED');
