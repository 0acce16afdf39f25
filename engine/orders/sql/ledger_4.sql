-- Version 4: orders that are gone from the database, whose codes the database may give to others.
alter table orders add column gone_at text
