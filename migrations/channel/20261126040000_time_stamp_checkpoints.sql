-- Checkpoints of our logs are time-stamped (RFC 3161) by an authority that is neither side's: not even who holds the logs' keys can
-- date an entry back.

create table time_stamps (
    log text not null,
    size bigint not null,
    token bytea not null,
    gen_time timestamptz not null,
    authority text not null,
    at timestamptz not null,
    constraint time_stamps_pk primary key (log, size),
    constraint time_stamps_size check (size > 0)
);
alter table time_stamps alter column token set storage external;
comment on table time_stamps is 'Time-stamps of checkpoints, each verified before it was kept. The key serves "the largest of this log" and "the first after an entry".';
comment on column time_stamps.size is 'Of the checkpoint in commits.';
comment on column time_stamps.token is 'The TimeStampToken (DER); its imprint is the SHA-256 of commits.note, signature and all, so that it bounds the time of the signature too.';
comment on column time_stamps.gen_time is 'The authority''s time in the token.';
comment on column time_stamps.authority is 'The subject of the certificate that signed the token.';
comment on column time_stamps.at is 'When it was kept, by our clock.';

create table time_stamps_due (
    log text not null,
    leaf bigint not null,
    constraint time_stamps_due_pk primary key (log, leaf)
);
comment on table time_stamps_due is 'Entries whose checkpoint is to be time-stamped at once, written with the message. One at or beyond the largest size in time_stamps still waits; no row is ever taken away.';

create trigger time_stamps_append_only before update or delete or truncate on time_stamps for each statement execute function refuse_change();
create trigger time_stamps_due_append_only before update or delete or truncate on time_stamps_due for each statement execute function refuse_change();
grant select, insert on time_stamps, time_stamps_due to onechannel_app;
