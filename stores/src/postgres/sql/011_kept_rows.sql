-- Refuses to delete rows of views by hand: a worker would take a key without a row for a new one. Commits say that they delete
-- rows by `highwater.deleting`, for their transaction. The row of a parked key may be deleted: it is folded again from the log.
create function @schema@.keep_rows() returns trigger language plpgsql as $$
declare
    of_view text := substr(tg_table_name, 6); -- after rows_
begin
    if tg_op = 'TRUNCATE' then
        raise exception 'the rows of view % must not be deleted by hand: workers would take their keys for new ones', of_view
            using errcode = 'restrict_violation', hint = 'Build the view anew, as another generation.';
    end if;
    if exists (select from @schema@.parked_keys p where p.view = of_view and p.key = old.key) then
        return old;
    end if;
    raise exception 'the row % of view % must not be deleted by hand: a worker would take its key for a new one', old.key, of_view
        using errcode = 'restrict_violation', hint = 'Let the view''s worker repair the row from the log.';
end
$$;

create function @schema@.guard_rows(stored text) returns void language plpgsql as $$
begin
    execute format('create or replace trigger keep_rows before delete on @schema@.%I for each row '
        'when (coalesce(current_setting(''highwater.deleting'', true), '''') <> ''on'') '
        'execute function @schema@.keep_rows()', 'rows_' || stored);
    execute format('create or replace trigger keep_all_rows before truncate on @schema@.%I '
        'execute function @schema@.keep_rows()', 'rows_' || stored);
end
$$;

do $$
declare
    name text;
begin
    for name in
        select view from @schema@.views where to_regclass(format('@schema@.%I', 'rows_' || view)) is not null
    loop
        perform @schema@.guard_rows(name);
    end loop;
end
$$;
