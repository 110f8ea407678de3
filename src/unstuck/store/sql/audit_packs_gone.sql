SELECT pack FROM (SELECT pack FROM orders UNION SELECT pack FROM fallout_case) used
WHERE NOT EXISTS (SELECT FROM policy_pack p WHERE p.hash = used.pack)
