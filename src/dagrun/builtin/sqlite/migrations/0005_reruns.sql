-- Runs that are run again.

alter table runs add column rerun_of text;
