-- Appends a whole batch, or says that somebody has to look closer: `head` is then null and nothing
-- was stored. For batches of appends that say at which version their streams are, which is what
-- commands on aggregates do; a batch that is not accepted whole is judged by `append`, one by one.
--
-- Order and durability are those of `append`. What is expected is checked by what must be looked
-- up anyway: a stream that has gone on by the unique key of stream and version, a repeated command
-- by the primary key of commands. What remains is that the event before is there, and the right
-- one: the arrays with the prefix h_ say which, null for any.
--
-- Arrays with the prefix a_ have one element for each append, e_ for each event. a_first and a_last
-- count the events of the batch from 1; an append without events has a_first = a_last + 1.
create procedure @schema@.append_all(
    a_id uuid[], a_fingerprint bigint[], a_first integer[], a_last integer[],
    h_stream text[], h_version bigint[], h_event uuid[],
    e_stream text[], e_version bigint[], e_id uuid[], e_command uuid[], e_type text[],
    e_schema integer[], e_tags text[], e_payload bytea[], e_metadata bytea[],
    inout head bigint
) language plpgsql as $$
declare
    clock timestamptz;
    stored integer;
    -- An assignment evaluates an expression without the cost of a statement.
    ignored text;
begin
    ignored := set_config('synchronous_commit', 'off', true);
    ignored := pg_advisory_xact_lock('@schema@.events'::regclass::oid::bigint)::text;

    select e.position, greatest(e.recorded_at, clock_timestamp())
    into head, clock
    from @schema@.events e order by e.position desc limit 1;
    if not found then
        head := 0;
        clock := clock_timestamp();
    end if;

    if cardinality(a_id) = 1 and cardinality(e_id) = 1 and cardinality(h_event) <= 1 then
        -- The most frequent batch, an append alone, without the cost of functions that give sets.
        insert into @schema@.commands (command_id, fingerprint, first_position, last_position)
        values (a_id[1], a_fingerprint[1], head + 1, head + 1)
        on conflict do nothing;
        get diagnostics stored = row_count;
        if stored = 1 then
            insert into @schema@.events (position, stream, version, event_id, command_id, type,
                schema_version, recorded_at, tags, payload, metadata)
            select head + 1, e_stream[1], e_version[1], e_id[1], e_command[1], e_type[1],
                   e_schema[1], clock, e_tags[1]::text[], e_payload[1], e_metadata[1]
            where cardinality(h_event) = 0 or
                  (select h_event[1] is null or e.event_id = h_event[1] from @schema@.events e
                   where e.stream = h_stream[1] and e.version = h_version[1])
            on conflict do nothing;
            get diagnostics stored = row_count;
        end if;
    else
        insert into @schema@.commands (command_id, fingerprint, first_position, last_position)
        select a.id, a.fingerprint, head + a.first, head + a.last
        from unnest(a_id, a_fingerprint, a_first, a_last) a(id, fingerprint, first, last)
        on conflict do nothing;
        get diagnostics stored = row_count;
        if stored = cardinality(a_id) then
            -- Scalar subqueries: one index descent for each stream, whatever the statistics say.
            insert into @schema@.events (position, stream, version, event_id, command_id, type,
                schema_version, recorded_at, tags, payload, metadata)
            select head + e.ord, e.stream, e.version, e.id, e.command, e.type,
                   e.schema, clock, e.tags::text[], e.payload, e.metadata
            from unnest(e_stream, e_version, e_id, e_command, e_type, e_schema, e_tags, e_payload,
                        e_metadata) with ordinality
                 e(stream, version, id, command, type, schema, tags, payload, metadata, ord)
            where not exists (
                select 1 from unnest(h_stream, h_version, h_event) h(stream, version, event)
                where (select h.event is null or x.event_id = h.event from @schema@.events x
                       where x.stream = h.stream and x.version = h.version) is not true
            )
            on conflict do nothing;
            get diagnostics stored = row_count;
            stored := case when stored = cardinality(e_id) then 1 else 0 end;
        else
            stored := 0;
        end if;
    end if;
    if stored <> 1 then
        rollback;
        head := null;
        return;
    end if;

    if array_length(array_remove(e_tags, null), 1) > 0 then
        insert into @schema@.event_tags (tag, position)
        select t.tag, head + e.ord
        from unnest(e_tags) with ordinality e(tags, ord)
        cross join lateral unnest(e.tags::text[]) t(tag);
    end if;

    ignored := pg_notify('@channel@', (head + cardinality(e_id))::text)::text;

    commit;
    if current_setting('synchronous_commit') = 'off' then
        ignored := set_config('synchronous_commit', 'on', true);
    end if;
    -- A message takes a transaction id and writes to the log; without that the end of this
    -- transaction would flush nothing.
    ignored := pg_logical_emit_message(true, 'highwater', '')::text;
end
$$;
