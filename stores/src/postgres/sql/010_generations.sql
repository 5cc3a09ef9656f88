-- Generations of views: rows of one definition beside those of another one. Each is stored under a name of its own, which is
-- `view` everywhere; that of the first is the name of the view. Its rows are in a table `rows_` and this name, and plain SQL sees
-- those of the live one under `live_` and the name of the view.
set local lock_timeout = '10s';

-- Shows the rows of a generation to plain SQL. Roles that may read the former ones may read these.
create function @schema@.show_rows(shown text, stored text) returns void language plpgsql as $$
declare
    name text := format('@schema@.%I', 'live_' || shown);
    rows text := format('@schema@.%I', 'rows_' || stored);
    -- In one order, so that another generation with these columns replaces them.
    columns text := (
        select string_agg(quote_ident(attname), ', ' order by attname not in ('key', 'value'), attname)
        from pg_attribute where attrelid = rows::regclass and attnum > 0 and not attisdropped);
    privileges text[] := array(
        select format('grant %s on %s to %s', a.privilege_type, name,
                      case when a.grantee = 0 then 'public' else a.grantee::regrole::text end)
        from pg_class c, aclexplode(c.relacl) a
        where c.oid = coalesce(to_regclass(name), to_regclass(rows))
            and a.grantee <> c.relowner and a.privilege_type = 'SELECT');
    privilege text;
begin
    begin
        execute format('create or replace view %s as select %s from %s', name, columns, rows);
    exception when invalid_table_definition then
        execute format('drop view %s', name);
        execute format('create view %s as select %s from %s', name, columns, rows);
    end;
    foreach privilege in array privileges loop
        execute privilege;
    end loop;
end
$$;

-- Refuses the statements of processes that still run with an earlier version of Highwater: they would see the rows of another
-- program as soon as another generation is live.
create function @schema@.former_name(view text) returns text language plpgsql as $$
begin
    raise exception 'view_% is the former name of live_%: a process of an earlier version of Highwater must be restarted with this one',
        view, view;
end
$$;

-- The tables are renamed first: this waits for those who read them, and keeps no one else waiting.
do $$
declare
    name text;
begin
    for name in
        select view from @schema@.views
        where exists (select from pg_class
                      where oid = to_regclass(format('@schema@.%I', 'view_' || view)) and relkind = 'r')
        order by view
    loop
        execute format('alter table @schema@.%I rename to %I', 'view_' || name, 'rows_' || name);
        perform @schema@.show_rows(name, name);
        execute format('create view @schema@.%I as select @schema@.former_name(%L) as key, '
                       '@schema@.former_name(%L)::json as value', 'view_' || name, name, name);
    end loop;
end
$$;

alter table @schema@.views add column generation_of text collate "C";
alter table @schema@.views add column generation bigint not null default 1;
alter table @schema@.views add column live boolean not null default true;
alter table @schema@.views add column complete_at bigint not null default 0;
alter table @schema@.views add column created_at timestamptz not null default 'epoch';
alter table @schema@.views add column promoted_at timestamptz;

-- The greatest number that a generation of the view had which was removed: numbers are not used again.
alter table @schema@.views add column removed_through bigint not null default 0;

-- The hashes of the definitions that the generation had before another program adopted it, as a JSON array.
alter table @schema@.views add column former_hashes text not null default '[]';
