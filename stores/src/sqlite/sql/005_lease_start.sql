-- When a lease, or a sign of life, was given, in microseconds since 1970. One that lies more than a minute in the future
-- was given before the clock was set back, and has run out.
alter table @prefix@shards add column leased_at integer;
alter table @prefix@workers add column alive_at integer;
