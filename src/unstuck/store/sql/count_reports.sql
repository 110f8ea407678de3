-- Read from the index alone, and no further than the limit: only to know whether a source is a rare one.
SELECT count(*)
FROM unnest($1::text[]) AS named(source), LATERAL (
    SELECT FROM failure_event f WHERE f.source = named.source ORDER BY f.event_id LIMIT $2
) AS reported
