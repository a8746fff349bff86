-- For the rest of the transaction, plans fit the arguments and may read and hash whole tables, and whoever reads row
-- by row may take its time, for it holds no locks (see pool.SESSION).
select
    set_config('plan_cache_mode', 'force_custom_plan', true),
    set_config('idle_in_transaction_session_timeout', '0', true),
    set_config('enable_seqscan', 'on', true),
    set_config('enable_bitmapscan', 'on', true),
    set_config('enable_hashjoin', 'on', true),
    set_config('enable_mergejoin', 'on', true)
