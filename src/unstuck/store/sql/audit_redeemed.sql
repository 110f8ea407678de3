-- Tokens that were redeemed outside: what our own engine redeems is held against the history of its order.
SELECT u.token, u.at, u.by
FROM resume_use u JOIN resume_token t ON t.id = u.token
WHERE t.case_id = ANY($1::uuid[]) AND t.audience <> 'engine'
