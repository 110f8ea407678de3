-- An outcome belongs to a call on record, under the day of that call.
SELECT 'attempt ' || concat_ws(' ', order_id, task, attempt) AS place FROM attempt WHERE day <> (at AT TIME ZONE 'UTC')::date
UNION ALL
SELECT 'outcome ' || concat_ws(' ', order_id, task, attempt) FROM outcome o
WHERE NOT EXISTS (SELECT FROM attempt a
    WHERE a.order_id = o.order_id AND a.task = o.task AND a.attempt = o.attempt AND a.day = o.day)
LIMIT 1000
