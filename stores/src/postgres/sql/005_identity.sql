-- Which log this is: tokens carry a fingerprint of it, so that those of another log are recognised.
create table @schema@.identity (id uuid primary key);

insert into @schema@.identity (id) values (gen_random_uuid());
