-- Bytes that do not fit the digest beside them, whether or not an event names them. One scan, in the server:
-- a program that lies about this would lie about the rows as well; then verify a copy under a server you trust.
SELECT 'intake ' || id AS place FROM intake
WHERE sha256 <> encode(sha256(body), 'hex') OR truncated <> (size > octet_length(body))
UNION ALL
SELECT 'outcome ' || concat_ws(' ', order_id, task, attempt) FROM outcome WHERE sha256 <> sha256(body)
UNION ALL
SELECT 'callback ' || concat_ws(' ', system, event_id) FROM callback WHERE sha256 <> encode(sha256(body), 'hex')
UNION ALL
SELECT 'failure_event ' || concat_ws(' ', source, event_id) FROM failure_event WHERE sha256 <> encode(sha256(body), 'hex')
UNION ALL
SELECT 'fallout_case ' || id FROM fallout_case WHERE raw_sha256 <> encode(sha256(raw), 'hex')
UNION ALL
SELECT 'plan ' || id FROM plan WHERE id <> encode(sha256(body), 'hex')
LIMIT 1000
