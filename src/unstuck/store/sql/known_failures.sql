-- Failure events that came before, with the case they are filed under. LIMIT for the reason told in cases_of_failures.
SELECT f.source, f.event_id, f.sha256, f.case_id, c.number
FROM unnest((SELECT $1::text[]), (SELECT $2::text[])) AS u(source, event_id)
CROSS JOIN LATERAL (SELECT * FROM failure_event f WHERE f.source = u.source AND f.event_id = u.event_id LIMIT 1) f
CROSS JOIN LATERAL (SELECT number FROM fallout_case c WHERE c.id = f.case_id LIMIT 1) c
