-- Counted up to a limit: an exact count of a million is a second of reading for a number nobody needs.
SELECT count(*) FROM (SELECT FROM fallout_case WHERE state <> ALL($1) LIMIT $2) AS counted
