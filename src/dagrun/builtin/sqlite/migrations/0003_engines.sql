-- Which engine has a run, what started it, and what is posted to it.

alter table runs add column engine_id text;
alter table runs add column instance text;                          -- which life of the engine
alter table runs add column last_message integer not null default 0;   -- numbers are not given again
alter table runs add column parent_run_id text;
alter table runs add column parent_epoch integer;
alter table runs add column parent_node_id text;
alter table runs add column parent_item integer;
alter table runs add column parent_attempt integer;
alter table runs add column depth integer;
alter table runs add column parent_waits integer;                   -- whether it is told of the end
create unique index runs_started_by                                 -- also finds all children of a run
  on runs (parent_run_id, parent_node_id, coalesce(parent_item, -1), parent_attempt)
  where parent_run_id is not null;

create table messages (
  run_id text not null,
  number integer not null,
  kind   text not null,
  data   text not null,
  primary key (run_id, number)
) without rowid;
