-- `append` with conditions that also name events without a tag (`c_lacked`: no tag of the event begins so), and with
-- one descent of an index for each part of a condition, however long the log is: by tag, by type and by category. The
-- comparisons of pairs leave the planner no other index. Nothing else differs from `append` as it was before, see
-- `002_append.sql` and `007_order_lock.sql`; that one stays for processes of earlier versions: this one has another number of
-- arguments.
create procedure @schema@.append(
    a_id uuid[], a_fingerprint bigint[], a_group integer[], a_count integer[],
    p_append integer[], p_stream text[], p_kind smallint[], p_version bigint[], p_event uuid[],
    e_append integer[], e_part integer[], e_id uuid[], e_type text[], e_schema integer[],
    e_tags text[], e_payload bytea[], e_metadata bytea[],
    c_append integer[], c_after bigint[], c_categories text[], c_types text[], c_tags text[],
    c_lacked text[],
    durable boolean,
    inout a_status smallint[], inout a_position bigint[], inout a_found bigint[],
    inout p_actual bigint[], inout p_actual_event uuid[]
) language plpgsql as $$
declare
    head bigint;
    clock timestamptz;
    boundary bigint[];
begin
    if durable then
        perform set_config('synchronous_commit', 'off', true);
    end if;
    perform pg_advisory_xact_lock(1751738216, '@schema@.events'::regclass::oid::integer);

    select e.position, greatest(e.recorded_at, clock_timestamp())
    into head, clock
    from @schema@.events e order by e.position desc limit 1;
    if not found then
        head := 0;
        clock := clock_timestamp();
    end if;

    -- Scalar subqueries: one index descent for each stream, whatever the statistics say.
    select array_agg(coalesce(s.version, 0) order by p.ord), array_agg(s.event_id order by p.ord)
    into p_actual, p_actual_event
    from unnest(p_stream) with ordinality p(stream, ord)
    left join lateral (
        select e.version, e.event_id from @schema@.events e
        where e.stream = p.stream order by e.version desc limit 1
    ) s on true;

    if cardinality(c_append) > 0 then
        select array_agg(f.found order by a.ord) into boundary
        from generate_subscripts(a_id, 1) a(ord)
        left join (
            select c.append, min(m.position) as found
            from unnest(c_append, c_after, c_categories, c_types, c_tags, c_lacked)
                 c(append, after, categories, types, tags, lacked)
            cross join lateral (
                (select t.position
                 from @schema@.event_tags t
                 cross join lateral (
                     select e.tags, e.type, e.stream from @schema@.events e
                     where e.position = t.position offset 0
                 ) e
                 where c.tags is not null
                   and t.tag = (c.tags::text[])[1] and t.position > c.after
                   and e.tags @> c.tags::text[]
                   and (c.types is null or e.type = any (c.types::text[]))
                   and (c.categories is null
                        or split_part(e.stream, '-', 1) = any (c.categories::text[]))
                 order by t.position limit 1)
                union all
                (select e.position
                 from unnest(c.types::text[]) n(type)
                 cross join lateral (
                     select e.position from @schema@.events e
                     where (e.type, e.position) > (n.type, c.after) and e.type <= n.type
                       and (c.categories is null
                            or split_part(e.stream, '-', 1) = any (c.categories::text[]))
                       and (c.lacked is null or not exists (
                            select from unnest(e.tags) t(tag) where starts_with(t.tag, c.lacked)))
                     order by e.type, e.position limit 1
                 ) e
                 where c.tags is null and c.types is not null)
                union all
                (select e.position
                 from unnest(c.categories::text[]) n(category)
                 cross join lateral (
                     select e.position from @schema@.events e
                     where (split_part(e.stream, '-', 1), e.position) > (n.category, c.after)
                       and split_part(e.stream, '-', 1) <= n.category
                     order by split_part(e.stream, '-', 1), e.position limit 1
                 ) e
                 where c.tags is null and c.types is null and c.categories is not null)
                union all
                (select e.position from @schema@.events e
                 where c.tags is null and c.types is null and c.categories is null
                   and e.position > c.after
                 order by e.position limit 1)
            ) m
            group by c.append
        ) f on f.append = a.ord;
    end if;

    with asked as (
        select a.*,
               (select c.fingerprint from @schema@.commands c where c.command_id = a.id) as known,
               boundary[a.ord] as found
        from unnest(a_id, a_fingerprint, a_group, a_count) with ordinality
             a(id, fingerprint, grp, count, ord)
    ), broken as (
        select p.append, true as broken
        from unnest(p_append, p_kind, p_version, p_event, p_actual, p_actual_event)
             p(append, kind, version, event, actual, actual_event)
        where not case p.kind
            when 1 then p.actual = 0
            when 2 then p.actual > 0
            when 3 then p.actual = p.version
            when 4 then p.actual = p.version and p.actual_event is not distinct from p.event
            else true end
        group by p.append
    ), judged as (
        select a.*,
               case when a.known = a.fingerprint then 1
                    when a.known is not null then 2
                    when b.broken then 3
                    when a.found is not null then 4
                    else 0 end as status
        from asked a left join broken b on b.append = a.ord
    ), chained as (
        -- What an append that failed would have written is not there. What a repeated one wrote is
        -- there, and must be looked at.
        select j.*,
               case when j.status <> 0 then j.status
                    when bool_or(j.status = 1) over earlier then 5
                    when bool_or(j.status <> 0) over earlier then 3
                    else 0 end as own
        from judged j
        window earlier as (partition by j.grp order by j.ord
                           rows between unbounded preceding and 1 preceding)
    ), ordered as (
        -- No append overtakes another one that is judged later.
        select c.*, case when bool_or(c.own = 5) over (order by c.ord) then 5 else c.own end as final
        from chained c
    ), placed as (
        select c.*,
               head + sum(case when c.final = 0 then c.count else 0 end) over (order by c.ord)
                   as position
        from ordered c
    ), remembered as (
        insert into @schema@.commands (command_id, fingerprint, first_position, last_position)
        select p.id, p.fingerprint, p.position - p.count + 1, p.position
        from placed p where p.final = 0
    )
    select array_agg(p.final order by p.ord),
           array_agg(case p.final
               when 1 then (select c.last_position from @schema@.commands c
                            where c.command_id = p.id)
               else p.position end order by p.ord),
           array_agg(p.found order by p.ord)
    into a_status, a_position, a_found
    from placed p;

    insert into @schema@.events (position, stream, version, event_id, command_id, type,
        schema_version, recorded_at, tags, payload, metadata)
    select a_position[e.append] - a_count[e.append]
               + row_number() over (partition by e.append order by e.ord),
           p_stream[e.part],
           case when p_kind[e.part] = 5 then p_version[e.part] else p_actual[e.part] end
               + row_number() over (partition by e.part order by e.ord),
           e.id, a_id[e.append], e.type, e.schema, clock, e.tags::text[], e.payload, e.metadata
    from unnest(e_append, e_part, e_id, e_type, e_schema, e_tags, e_payload, e_metadata)
         with ordinality e(append, part, id, type, schema, tags, payload, metadata, ord)
    where a_status[e.append] = 0;

    if array_length(array_remove(e_tags, null), 1) > 0 then
        insert into @schema@.event_tags (tag, position)
        select t.tag, v.position
        from unnest(e_id, e_tags) e(id, tags)
        join @schema@.events v on v.position > head and v.event_id = e.id
        cross join lateral unnest(e.tags::text[]) t(tag);
    end if;

    perform pg_notify('@channel@', (select max(x) from unnest(a_position) x)::text);

    if durable then
        commit;
        if current_setting('synchronous_commit') = 'off' then
            perform set_config('synchronous_commit', 'on', true);
        end if;
        -- A message takes a transaction id and writes to the log; without that the end of this
        -- transaction would flush nothing.
        perform pg_logical_emit_message(true, 'highwater', '');
    else
        -- A client that stalls before its commit would hold the lock: the server ends it then.
        perform set_config('idle_in_transaction_session_timeout', '5000', true);
        if current_setting('synchronous_commit') = 'off' then
            perform set_config('synchronous_commit', 'on', true);
        end if;
    end if;
end
$$;
