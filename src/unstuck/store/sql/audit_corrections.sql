-- APPLYING is the moment between two transactions: no event yet, so it still counts as proposed.
SELECT id, case_id, action, replace(state, 'APPLYING', 'PROPOSED') AS state, reason_code, reason, proposed_by, proposed_at,
    CASE WHEN state <> 'APPLYING' THEN applied_by ELSE '' END AS applied_by,
    CASE WHEN state <> 'APPLYING' THEN applied_at END AS applied_at,
    replace(result, 'too_early', 'silent') AS result,
    encode(sha256(given), 'hex') AS given, encode(sha256(preview), 'hex') AS preview
FROM correction WHERE case_id = ANY($1::uuid[])
