-- Whose turn it is: a claim moves the due time past its lease and shuts out every earlier claim by its fence.
UPDATE resume_work w SET due = $2, fence = w.fence + 1
FROM (SELECT token FROM resume_work WHERE due <= $1 ORDER BY due LIMIT $3 FOR UPDATE SKIP LOCKED) mine
WHERE w.token = mine.token
RETURNING w.token, w.step, w.due, w.fence, w.way, w.asked, w.asked_at, w.looks, w.answer, w.before
