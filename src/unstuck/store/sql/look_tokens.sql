-- The resume tokens of a case, and when each was used.
SELECT t.body, u.at AS used_at, u.by FROM resume_token t LEFT JOIN resume_use u ON u.token = t.id
WHERE t.case_id = $1 ORDER BY t.issued_at
