-- Runs without a parent, which are few among those of a large fan-out.

create index runs_at_top_level on runs (run_id) where parent_run_id is null;
