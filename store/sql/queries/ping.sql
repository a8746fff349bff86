-- Whether the database answers, and whether this session may write (not on a standby, nor while an operator forbids it).
select current_setting('transaction_read_only') = 'off'
