-- What a session's refresh tokens have in common, and the one before the newest, so that a lost answer can be given again and any token of
-- the family ends it. All three are null in what an earlier release wrote.
ALTER TABLE sessions ADD COLUMN family_hash text;

ALTER TABLE sessions ADD COLUMN previous_hash text;

-- When the newest took the place of the previous one.
ALTER TABLE sessions ADD COLUMN rotated_at bigint;
