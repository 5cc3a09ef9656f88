-- Generations of views: rows of one definition beside those of another one. Each is stored under a name of its own, which is
-- `view` everywhere; that of the first is the name of the view. Its rows are in a table `rows_` and this name, and plain SQL sees
-- those of the live one under `live_` and the name of the view.
alter table @prefix@views add column generation_of text;
alter table @prefix@views add column generation integer not null default 1;
alter table @prefix@views add column live integer not null default true;
alter table @prefix@views add column complete_at integer not null default 0;
alter table @prefix@views add column created_at integer not null default 0; -- microseconds since 1970
alter table @prefix@views add column promoted_at integer; -- microseconds since 1970

-- The greatest number that a generation of the view had which was removed: numbers are not used again.
alter table @prefix@views add column removed_through integer not null default 0;

-- The hashes of the definitions that the generation had before another program adopted it, as a JSON array.
alter table @prefix@views add column former_hashes text not null default '[]';
