-- Has a row only within the transaction of a commit that deletes rows. Triggers refuse to delete them otherwise.
create table @prefix@deleting (by_commit integer not null);
