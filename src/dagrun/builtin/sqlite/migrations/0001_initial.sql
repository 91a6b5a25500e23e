-- Definitions, journals, and the projections of runs and nodes.
-- Times are RFC 3339 in UTC. JSON is text that SQLite never looks into.

create table definitions (
  hash text primary key,
  body text not null
) without rowid;

create table runs (
  run_id          text primary key,
  workflow_id     text not null,
  version         text not null,
  definition_hash text not null,
  status          text not null,
  inputs          text not null,
  outputs_seq     integer,          -- the event that carries the outputs
  error           text,
  owner           text not null,
  epoch           integer not null,
  last_seq        integer not null,
  priority        integer not null,
  created_at      text not null,
  started_at      text,
  finished_at     text
);
create index runs_of_workflow on runs (workflow_id, run_id);
create index runs_in_state on runs (status, run_id);

create table events (
  run_id  text not null,
  seq     integer not null,
  epoch   integer not null,
  type    text not null,
  time    text not null,
  node_id text,
  item    integer,
  attempt integer,
  data    text,
  version integer not null,          -- of the event's schema
  primary key (run_id, seq)
) without rowid;

create table nodes (
  run_id      text not null,
  node_id     text not null,
  item        integer not null,      -- -1 for the node itself
  status      text not null,
  attempts    integer not null,
  started_at  text,
  finished_at text,
  outputs_seq integer,
  error       text,
  primary key (run_id, node_id, item)
) without rowid;
