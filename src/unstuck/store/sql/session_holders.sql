-- Whose sessions these are, as those people are at this moment: their roles are never older than the request.
SELECT s.sha256, s.seen_at, p.id, p.name, p.roles, p.demo, p.made_at, p.disabled_at, p.version, p.seq
FROM session s JOIN person p ON p.id = s.person
WHERE s.sha256 = ANY($1) AND s.until > $2 AND s.seen_at > $3 AND p.disabled_at IS NULL
