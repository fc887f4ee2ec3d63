-- What both sides count of a day is a subject of its own: whose count was not compared yet is awaited.

alter table dossiers drop constraint dossiers_kind,
    add constraint dossiers_kind check (kind in ('person', 'job-order', 'crisis', 'books'));
alter table subjects drop constraint subjects_kind,
    add constraint subjects_kind check (kind in ('worker', 'placement', 'job-order', 'crisis', 'books'));
comment on column dossiers.kind is 'person: workers and their placements; job-order, crisis, books: one subject each.';
