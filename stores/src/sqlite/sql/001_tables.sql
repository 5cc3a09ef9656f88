create table @prefix@events (
    position integer primary key,
    stream text not null,
    version integer not null,
    event_id blob not null,
    command_id blob not null,
    type text not null,
    schema_version integer not null,
    recorded_at integer not null, -- microseconds since 1970
    tags text, -- a JSON array
    payload blob not null,
    metadata blob,
    unique (stream, version)
);

-- The category is the stream's id up to the first dash: it needs no column of its own.
create index @prefix@events_by_category
    on @prefix@events (substr(stream, 1, instr(stream, '-') - 1), position);
create index @prefix@events_by_type on @prefix@events (type, position);

create table @prefix@event_tags (
    tag text not null,
    position integer not null,
    primary key (tag, position)
) without rowid;

-- A command without events has first_position = last_position + 1.
create table @prefix@commands (
    command_id blob primary key,
    fingerprint integer not null,
    first_position integer not null,
    last_position integer not null
) without rowid;

create table @prefix@snapshots (
    stream text primary key,
    version integer not null,
    event_id blob not null,
    schema_version integer not null,
    state blob not null
);

create table @prefix@checkpoints (
    view text primary key,
    position integer not null,
    as_of integer not null -- microseconds since 1970
);
