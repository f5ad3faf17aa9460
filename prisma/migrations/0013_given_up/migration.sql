-- Who gave up on a clearing that a worker held: the worker ends it, once nothing of it is under way any more.
ALTER TABLE clearing ADD COLUMN given_up_by text;
