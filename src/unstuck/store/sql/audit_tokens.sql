-- Whole, with the digest of the body: what was issued must be what the event said.
SELECT id, case_id, audience, issued_at, expires_at, body, encode(sha256(body), 'hex') AS sha256
FROM resume_token WHERE case_id = ANY($1::uuid[])
