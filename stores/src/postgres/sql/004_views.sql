-- Views: how each is divided, and how far each shard is.
create table @schema@.views (
    view text collate "C" primary key,
    layout text not null
);

-- The epoch grows with each change of ownership. Rows are written with every commit: with room in
-- their page the index need not be touched.
create table @schema@.shards (
    view text collate "C" not null,
    shard integer not null,
    epoch bigint not null,
    owner text collate "C",
    lease_until timestamptz,
    position bigint not null,
    as_of timestamptz not null,
    cursor bytea not null,
    primary key (view, shard)
) with (fillfactor = 50);

create table @schema@.workers (
    view text collate "C" not null,
    worker text collate "C" not null,
    alive_until timestamptz not null,
    primary key (view, worker)
) with (fillfactor = 50);

create table @schema@.parked_keys (
    view text collate "C" not null,
    key text collate "C" not null,
    since bigint not null,
    error text not null,
    attempts bigint not null,
    parked_at timestamptz not null,
    retry boolean not null,
    primary key (view, key)
);

-- The events that wait behind a parked key, the one at since among them.
create table @schema@.parked_events (
    view text collate "C" not null,
    key text collate "C" not null,
    position bigint not null,
    primary key (view, key, position),
    foreign key (view, key) references @schema@.parked_keys (view, key) on update cascade
);

insert into @schema@.views (view, layout) select view, 'keys/1' from @schema@.checkpoints;

insert into @schema@.shards (view, shard, epoch, position, as_of, cursor)
select view, 0, 0, position, as_of, '' from @schema@.checkpoints;

-- Rows are JSON, as which the database can look into them.
do $$
declare
    name text;
begin
    for name in select view from @schema@.checkpoints loop
        execute format(
            'alter table if exists @schema@.%I alter column value type json '
            'using convert_from(value, ''UTF8'')::json', 'view_' || name);
    end loop;
end
$$;

drop table @schema@.checkpoints;
