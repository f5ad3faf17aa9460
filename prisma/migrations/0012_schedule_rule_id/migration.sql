-- A run belongs to the rule by which it was due: one that a worker left PENDING is not fired for another rule, nor for a
-- schedule that was deleted and created anew. Runs recorded before have no rule.
ALTER TABLE schedule ADD COLUMN rule_id uuid NOT NULL DEFAULT gen_random_uuid();
ALTER TABLE schedule_firing ADD COLUMN rule_id uuid;
