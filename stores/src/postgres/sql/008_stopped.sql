-- Since when a shard has stopped and why: at (microseconds since 1970) and error. Null while it works, and after the next
-- commit.
alter table @schema@.shards add column stopped json;
