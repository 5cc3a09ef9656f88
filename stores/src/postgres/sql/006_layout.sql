-- A read of one row takes progress and layout from the same row: another table in its statement would cost a
-- twentieth of it. How a view is divided is still said in `views`, and changed in both at once.
alter table @schema@.shards add column layout text;

-- What is left of a view that somebody has removed by hand.
delete from @schema@.shards s where not exists (select from @schema@.views v where v.view = s.view);

update @schema@.shards s set layout = v.layout from @schema@.views v where v.view = s.view;

alter table @schema@.shards alter column layout set not null;
