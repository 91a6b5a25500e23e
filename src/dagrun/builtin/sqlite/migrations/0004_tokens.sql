-- Who may call an orchestrator. The tokens themselves are not kept.

create table tokens (
  token_id   text primary key,
  role       text not null,
  hash       text not null unique,
  note       text not null,
  created_at text not null,
  expires_at text,
  revoked_at text
) without rowid;
