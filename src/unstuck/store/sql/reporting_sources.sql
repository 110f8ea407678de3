-- All that intake has to know of the sources of a batch, in one look: most of the time nothing of it is written.
-- A source that ever had a key speaks with one: revoking the last must not let everybody speak for it again.
SELECT u.name, s.id IS NOT NULL AS known, s.id IS NOT NULL AND coalesce(s.last_heard < $2, true) AS unheard,
    EXISTS (SELECT FROM api_token t WHERE t.source = u.name) AS keyed
FROM unnest($1::text[]) AS u(name) LEFT JOIN source s ON s.name = u.name
