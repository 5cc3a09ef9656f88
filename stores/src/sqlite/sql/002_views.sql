-- Views: how each is divided, and how far each shard is.
create table @prefix@views (
    view text primary key,
    layout text not null
) without rowid;

-- The epoch grows with each change of ownership.
create table @prefix@shards (
    view text not null,
    shard integer not null,
    epoch integer not null,
    owner text,
    lease_until integer, -- microseconds since 1970
    position integer not null,
    as_of integer not null, -- microseconds since 1970
    cursor blob not null,
    primary key (view, shard)
) without rowid;

create table @prefix@workers (
    view text not null,
    worker text not null,
    alive_until integer not null, -- microseconds since 1970
    primary key (view, worker)
) without rowid;

create table @prefix@parked_keys (
    view text not null,
    key text not null,
    since integer not null,
    error text not null,
    attempts integer not null,
    parked_at integer not null, -- microseconds since 1970
    retry integer not null,
    primary key (view, key)
) without rowid;

-- The events that wait behind a parked key, the one at since among them.
create table @prefix@parked_events (
    view text not null,
    key text not null,
    position integer not null,
    primary key (view, key, position)
) without rowid;

insert into @prefix@views (view, layout) select view, 'keys/1' from @prefix@checkpoints;

insert into @prefix@shards (view, shard, epoch, position, as_of, cursor)
select view, 0, 0, position, as_of, x'' from @prefix@checkpoints;

drop table @prefix@checkpoints;
