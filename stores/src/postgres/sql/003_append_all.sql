-- Appends a whole batch, or stores nothing and returns a null `head`; then the batch has to be checked by
-- `append`, append by append. It is for appends that name the version of each of their streams, as
-- commands on aggregates do.
--
-- Order and durability are those of `append`, with one exception: a writer without contention keeps the
-- lock until its one transaction has been flushed, which costs less than two transactions. The argument
-- `alone` requests that, and its result is true if no other writer was there.
--
-- The arrays with the prefix h_ have the expected heads: one element for each stream, except for those
-- whose head follows from earlier appends of the batch. The event is null if any is accepted.
--
-- Arrays with the prefix a_ have one element for each append, e_ for each event. a_first and a_last
-- count the events of the batch from 1; an append without events has a_first = a_last + 1.
create procedure @schema@.append_all(
    a_id uuid[], a_fingerprint bigint[], a_first integer[], a_last integer[],
    h_stream text[], h_version bigint[], h_event uuid[],
    e_stream text[], e_version bigint[], e_id uuid[], e_command uuid[], e_type text[],
    e_schema integer[], e_tags text[], e_payload bytea[], e_metadata bytea[],
    inout alone boolean, inout head bigint
) language plpgsql as $$
declare
    clock timestamptz;
    stored integer;
    -- An assignment evaluates an expression without the cost of a statement.
    ignored text;
    one_transaction boolean;
begin
    one_transaction := alone;
    alone := pg_try_advisory_xact_lock('@schema@.events'::regclass::oid::bigint);
    one_transaction := one_transaction and alone;
    if not one_transaction then
        ignored := set_config('synchronous_commit', 'off', true);
    elsif current_setting('synchronous_commit') = 'off' then
        ignored := set_config('synchronous_commit', 'on', true);
    end if;
    if not alone then
        ignored := pg_advisory_xact_lock('@schema@.events'::regclass::oid::bigint)::text;
    end if;

    select e.position, greatest(e.recorded_at, clock_timestamp())
    into head, clock
    from @schema@.events e order by e.position desc limit 1;
    if not found then
        head := 0;
        clock := clock_timestamp();
    end if;

    -- A scalar subquery: one index descent for each stream, whatever the statistics say.
    insert into @schema@.commands (command_id, fingerprint, first_position, last_position)
    select a.id, a.fingerprint, head + a.first, head + a.last
    from unnest(a_id, a_fingerprint, a_first, a_last) a(id, fingerprint, first, last)
    where not exists (
        select 1 from unnest(h_stream, h_version, h_event) h(stream, version, event)
        where not coalesce(
            (select x.version = h.version and (h.event is null or x.event_id = h.event)
             from @schema@.events x where x.stream = h.stream
             order by x.version desc limit 1),
            h.version = 0 and h.event is null)
    )
    on conflict do nothing;
    get diagnostics stored = row_count;
    if stored < cardinality(a_id) then
        rollback;
        head := null;
        return;
    end if;

    insert into @schema@.events (position, stream, version, event_id, command_id, type,
        schema_version, recorded_at, tags, payload, metadata)
    select head + e.ord, e.stream, e.version, e.id, e.command, e.type,
           e.schema, clock, e.tags::text[], e.payload, e.metadata
    from unnest(e_stream, e_version, e_id, e_command, e_type, e_schema, e_tags, e_payload,
                e_metadata) with ordinality
         e(stream, version, id, command, type, schema, tags, payload, metadata, ord);

    if array_length(array_remove(e_tags, null), 1) > 0 then
        insert into @schema@.event_tags (tag, position)
        select t.tag, head + e.ord
        from unnest(e_tags) with ordinality e(tags, ord)
        cross join lateral unnest(e.tags::text[]) t(tag);
    end if;

    ignored := pg_notify('@channel@', (head + cardinality(e_id))::text)::text;

    if not one_transaction then
        commit;
        if current_setting('synchronous_commit') = 'off' then
            ignored := set_config('synchronous_commit', 'on', true);
        end if;
        -- A message takes a transaction id and writes to the log; without that the end of this
        -- transaction would flush nothing.
        ignored := pg_logical_emit_message(true, 'highwater', '')::text;
    end if;
end
$$;
