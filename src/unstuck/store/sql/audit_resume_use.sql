SELECT u.token, u.at, u.by = t.audience AS by
FROM resume_use u JOIN resume_token t ON t.id = u.token JOIN fallout_case c ON c.id = t.case_id
WHERE c.order_id = ANY($1::uuid[]) AND t.audience = 'engine'
