-- A clearing whose `_metadata` was read when it was asked for is not looked into once more before its files go.
ALTER TABLE clearing ADD COLUMN looked boolean NOT NULL DEFAULT false;
