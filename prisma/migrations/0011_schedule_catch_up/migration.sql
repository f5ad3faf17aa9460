-- A run that is made up for after an outage and finds no room on its cluster waits: it is still one that came late when its
-- turn comes, though it has been looked at in time since.
ALTER TABLE schedule ADD COLUMN catch_up boolean NOT NULL DEFAULT false;
