-- All that intake has to know of the sources of a batch, in one look: most of the time nothing of it is written.
SELECT u.name, s.id IS NOT NULL AS known, s.id IS NOT NULL AND coalesce(s.last_heard < $2, true) AS unheard,
    EXISTS (SELECT FROM api_token t WHERE t.source = u.name AND t.revoked_at IS NULL) AS keyed
FROM unnest($1::text[]) AS u(name) LEFT JOIN source s ON s.name = u.name
