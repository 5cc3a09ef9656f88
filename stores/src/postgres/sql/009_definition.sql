-- The definition by which the rows of a view were folded, as JSON, and its hash; null for views from before this version,
-- until a worker opens them. A read takes the hash from the same row as the progress, as it does the layout.
alter table @schema@.views add column definition text;
alter table @schema@.views add column definition_hash bigint;
alter table @schema@.shards add column definition_hash bigint;

-- The names that a view had, so that an older program does not build it anew under one of them.
alter table @schema@.views add column formerly text[] not null default '{}';
