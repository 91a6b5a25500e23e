-- A place for each event in the order of all runs, registered workflows, slots of concurrency
-- keys, and idempotency keys.

create table events_in_order (
  position integer primary key autoincrement,
  run_id   text not null,
  seq      integer not null,
  epoch    integer not null,
  type     text not null,
  time     text not null,
  node_id  text,
  item     integer,
  attempt  integer,
  data     text,
  version  integer not null
);
insert into events_in_order (run_id, seq, epoch, type, time, node_id, item, attempt, data, version)
  select run_id, seq, epoch, type, time, node_id, item, attempt, data, version
  from events
  order by max(time) over (partition by run_id order by seq), run_id, seq;   -- clocks may go back
drop table events;
alter table events_in_order rename to events;
create unique index events_of_run on events (run_id, seq);
create index events_that_place on events (run_id, seq)   -- which engine has a run, and that none has
  where type = 'run.queued' or data glob '{"engine":*';

create table workflows (
  workflow_id     text not null,
  version         text not null,
  definition_hash text not null,
  metadata        text,              -- what the caller said beside the workflow
  base            text,              -- folder of the document, if it came from a file
  registered_at   text not null,
  primary key (workflow_id, version)
) without rowid;

alter table runs add column concurrency_key text;
alter table runs add column admitted integer not null default 0;   -- whether it holds a slot
alter table runs add column idempotency_key text;
alter table runs add column request_hash text;                     -- of what was asked for with it
create index runs_with_key on runs (concurrency_key, run_id)
  where concurrency_key is not null and finished_at is null;
create unique index runs_asked_for on runs (workflow_id, idempotency_key)
  where idempotency_key is not null;
create index runs_by_end on runs (finished_at) where finished_at is not null;
