-- A change of state gets its number when somebody asks what changed, after it was committed. A number drawn while it was written
-- could be smaller than one that a follower had read before it was committed: the follower then never saw it.
--
-- Numbers stay in the database they were drawn in: a dump carries them and the sequence, so cursors hold after a restore. After a
-- restore to an earlier moment a follower may hold a cursor from after that moment; it starts again without one.

alter table subjects alter column change drop not null;
comment on column subjects.change is 'The cursor of /api/v1/changes: the number of the last change of state, drawn under one lock when changes are read. Null: changed since then.';
create index subjects_changed on subjects (updated_at, id) where change is null and kind = 'placement' and merged_into is null;
