-- The effect of these is recorded in this transaction.
DELETE FROM timer t USING unnest($1::uuid[], $2::text[], $3::int[]) AS u(subject, kind, epoch)
WHERE t.subject = u.subject AND t.kind = u.kind AND t.epoch = u.epoch
