create table @schema@.events (
    position bigint primary key,
    stream text collate "C" not null,
    version bigint not null,
    event_id uuid not null,
    command_id uuid not null,
    type text collate "C" not null,
    schema_version integer not null,
    recorded_at timestamptz not null,
    tags text[] collate "C",
    payload bytea not null,
    metadata bytea,
    unique (stream, version)
);

-- The category is the stream's id up to the first dash: it needs no column of its own.
create index events_by_category on @schema@.events (split_part(stream, '-', 1), position);
create index events_by_type on @schema@.events (type, position);

create table @schema@.event_tags (
    tag text collate "C" not null,
    position bigint not null,
    primary key (tag, position)
);

-- A command without events has first_position = last_position + 1.
create table @schema@.commands (
    command_id uuid primary key,
    fingerprint bigint not null,
    first_position bigint not null,
    last_position bigint not null
);

create table @schema@.snapshots (
    stream text collate "C" primary key,
    version bigint not null,
    event_id uuid not null,
    schema_version integer not null,
    state bytea not null
);

create table @schema@.checkpoints (
    view text collate "C" primary key,
    position bigint not null,
    as_of timestamptz not null
);
