-- That a call failed was said in `finish_reason`, which is why a model stopped; it is said in `tool_error` now. A migration of its own, so that
-- adding the column does not lock the table while its rows are changed. A host of the earlier release that still runs beside this one shows
-- these calls as done until it is replaced.
UPDATE messages SET tool_error = CASE WHEN finish_reason = 'tool_error' THEN 1 ELSE 0 END, finish_reason = NULL
WHERE role = 'tool' AND tool_error IS NULL;
