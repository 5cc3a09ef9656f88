-- Since when a shard has stopped and why, as JSON: at (microseconds since 1970) and error. Null while it works, and after
-- the next commit.
alter table @prefix@shards add column stopped text;
