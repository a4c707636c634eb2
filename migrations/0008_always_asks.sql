-- Whether the tool of a question asks before every call, so that nothing but this one can be allowed. Null in what an earlier release wrote,
-- which did not know.
ALTER TABLE approvals ADD COLUMN always_asks bigint;
