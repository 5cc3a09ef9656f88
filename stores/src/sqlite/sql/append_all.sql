-- Appends a whole batch in one statement, or fails with a constraint and stores nothing; then the batch has to
-- be checked append by append. It is for appends that name the version of each of their streams, as commands
-- on aggregates do.
--
-- SQLite has no procedures; an insert into this view is one. It is temporary, and created by each connection
-- for writes: in the file, it would hinder an older SQLite that alters a table there.
--
-- `appends`, `heads` and `events` are JSON arrays of arrays, `data` has all bytes, and a number in the arrays
-- that stands for bytes is their offset in it, from 1.
--
-- appends: command id, fingerprint, first and last event of the batch, counted from 1; without
--          events the first is the last + 1
-- heads:   stream, the version at which it must be, id of its last event or null for any
-- events:  stream, version, event id, command id, type, schema version, tags or null, payload, its
--          length, metadata or null, its length
-- tags:    number of the event, counted from 1, and tag
create temp view @prefix@append_all (appends, heads, events, tags, data, now) as
    select null, null, null, null, null, null where false;

-- A repeated command is found by the primary key of commands.
create temp trigger @prefix@append_all_insert instead of insert on @prefix@append_all begin
    select raise(abort, 'a stream is not where it must be')
    where exists (
        select 1 from jsonb_each(new.heads) h
        where not coalesce(
            (select e.version = h.value ->> 1
                    and (h.value ->> 2 is null or e.event_id = substr(new.data, h.value ->> 2, 16))
             from @prefix@events e where e.stream = h.value ->> 0 order by e.version desc limit 1),
            h.value ->> 1 = 0 and h.value ->> 2 is null)
    );

    insert into @prefix@commands (command_id, fingerprint, first_position, last_position)
    select substr(new.data, a.value ->> 0, 16), a.value ->> 1,
           l.head + (a.value ->> 2), l.head + (a.value ->> 3)
    from (select coalesce(max(position), 0) as head from @prefix@events) l,
         jsonb_each(new.appends) a;

    insert into @prefix@events (position, stream, version, event_id, command_id, type,
        schema_version, recorded_at, tags, payload, metadata)
    select l.head + 1 + e.key, e.value ->> 0, e.value ->> 1,
           substr(new.data, e.value ->> 2, 16), substr(new.data, e.value ->> 3, 16),
           e.value ->> 4, e.value ->> 5, max(new.now, coalesce(l.clock, new.now)), e.value ->> 6,
           substr(new.data, e.value ->> 7, e.value ->> 8),
           substr(new.data, e.value ->> 9, e.value ->> 10)
    from (select coalesce(max(position), 0) as head, max(recorded_at) as clock
          from (select position, recorded_at from @prefix@events order by position desc limit 1)) l,
         jsonb_each(new.events) e;

    insert into @prefix@event_tags (tag, position)
    select t.value ->> 1,
           (select max(position) from @prefix@events) - json_array_length(new.events)
               + (t.value ->> 0)
    from jsonb_each(new.tags) t;
end;
