-- What events of these streams name by digest, once each, in the order of the archive. Resume tokens stay here.
SELECT DISTINCT ON (digest) digest, body FROM (
    SELECT sha256 AS digest, body FROM intake WHERE order_id = ANY($1::uuid[])
    UNION ALL SELECT encode(sha256(body), 'hex'), body FROM order_draft WHERE order_id = ANY($1)
    UNION ALL SELECT encode(sha256(body), 'hex'), body FROM command WHERE order_id = ANY($1)
    UNION ALL SELECT encode(sha256, 'hex'), body FROM outcome WHERE order_id = ANY($1)
    UNION ALL SELECT sha256, body FROM callback WHERE order_id = ANY($1)
    UNION ALL SELECT encode(sha256(body), 'hex'), body FROM order_annotation WHERE order_id = ANY($1)
    UNION ALL SELECT encode(sha256(body), 'hex'), body FROM cancel_service_order WHERE order_id = ANY($1)
    UNION ALL SELECT raw_sha256, raw FROM fallout_case WHERE id = ANY($1)
    UNION ALL SELECT encode(sha256(convert_to(raw_message, 'UTF8')), 'hex'), convert_to(raw_message, 'UTF8')
        FROM fallout_case WHERE id = ANY($1)
    UNION ALL SELECT sha256, body FROM failure_event WHERE case_id = ANY($1)
    UNION ALL SELECT encode(sha256(given), 'hex'), given FROM correction WHERE case_id = ANY($1)
    UNION ALL SELECT encode(sha256(preview), 'hex'), preview FROM correction WHERE case_id = ANY($1)
    UNION ALL SELECT id, body FROM plan WHERE id = ANY($2::text[])
) kept WHERE digest = ANY($2) ORDER BY digest
