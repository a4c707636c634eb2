-- A rule about how long conversations are kept is set or removed in one statement. 0002 says what a command is; the PostgreSQL text beside this one says the
-- same.

-- days null: the rule is removed, and the others count from counts_at on, if one goes that kept something from them. A rule that deletes more than before
-- counts from then on too.
CREATE VIEW retention_changes AS
SELECT CAST(NULL AS text) AS subject, CAST(NULL AS bigint) AS days, CAST(NULL AS bigint) AS counts_at WHERE 1 = 0;

CREATE TRIGGER change_retention INSTEAD OF INSERT ON retention_changes
BEGIN
    UPDATE retention_rules SET counts_at = NEW.counts_at
    WHERE NEW.days IS NULL AND counts_at < NEW.counts_at AND EXISTS (SELECT 1 FROM retention_rules AS gone WHERE gone.subject = NEW.subject);
    DELETE FROM retention_rules WHERE NEW.days IS NULL AND subject = NEW.subject;
    INSERT INTO retention_rules (subject, days, counts_at) SELECT NEW.subject, NEW.days, NEW.counts_at WHERE NEW.days IS NOT NULL
    ON CONFLICT (subject) DO UPDATE SET days = excluded.days, counts_at = CASE
        WHEN retention_rules.days = excluded.days OR retention_rules.days > 0 AND retention_rules.days < excluded.days
        THEN retention_rules.counts_at ELSE excluded.counts_at END;
END;
