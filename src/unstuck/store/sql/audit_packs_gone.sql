-- Orders and cases keep the pack they were decided by; one that is gone cannot be checked any more.
SELECT pack FROM (SELECT pack FROM orders UNION SELECT pack FROM fallout_case) used
WHERE NOT EXISTS (SELECT FROM policy_pack p WHERE p.hash = used.pack)
