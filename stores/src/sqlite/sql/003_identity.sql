-- Which log this is: tokens carry a fingerprint of it, so that those of another log are recognised.
create table @prefix@identity (id blob primary key) without rowid;

insert into @prefix@identity (id) values (randomblob(16));
