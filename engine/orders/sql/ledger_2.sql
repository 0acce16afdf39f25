-- Version 2: the columns have the names that the documentation uses.
alter table orders rename column standing to status;

alter table orders rename column tries to attempts;

alter table orders rename column next_try_at to next_attempt_at;

alter table transitions rename column standing to status;

drop index orders_standing;

create index orders_status on orders (status)
