-- Only what our own engine took moves an order of ours; `by`: whether it was taken by whom it was issued to.
SELECT u.token, u.at, u.by = t.audience AS by
FROM resume_use u JOIN resume_token t ON t.id = u.token JOIN fallout_case c ON c.id = t.case_id
WHERE c.order_id = ANY($1::uuid[]) AND t.audience = 'engine'
