-- The definition by which the rows of a view were folded, as JSON, and its hash; null for views from before this version,
-- until a worker opens them.
alter table @prefix@views add column definition text;
alter table @prefix@views add column definition_hash integer;

-- The names that a view had, as a JSON array, so that an older program does not build it anew under one of them.
alter table @prefix@views add column formerly text not null default '[]';
