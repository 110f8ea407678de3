-- Failure events that came before, with the case they are filed under.
SELECT f.source, f.event_id, f.sha256, f.case_id, c.number
FROM unnest($1::text[], $2::text[]) AS u(source, event_id)
JOIN failure_event f ON f.source = u.source AND f.event_id = u.event_id
JOIN fallout_case c ON c.id = f.case_id
