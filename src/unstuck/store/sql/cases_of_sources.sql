-- Every report of a source names its case: the primary key of the reports serves as the index of a source's cases.
SELECT DISTINCT reported.case_id
FROM unnest($1::text[]) AS named(source), LATERAL (
    SELECT f.case_id FROM failure_event f WHERE f.source = named.source ORDER BY f.event_id LIMIT $2
) AS reported
