-- The gateway is a witness of the partners' own logs (C2SP tlog-witness): it remembers the largest tree of each that it has seen and
-- cosigned, and that state never goes back.

create table witnessed (
    origin text not null,
    size bigint not null,
    party text not null,
    root bytea not null,
    note text not null,
    opening bytea not null,
    log text not null,
    leaf bigint not null,
    at timestamptz not null,
    constraint witnessed_one_root_per_size primary key (origin, size)
);
comment on table witnessed is 'Checkpoints of partners'' logs that we cosigned, each once; the key serves "the largest of this origin".';
comment on column witnessed.note is 'The checkpoint written out anew by us, with the log''s signatures that verified and our cosignature.';
comment on column witnessed.opening is 'Opens the commitment of the leaf in the corridor''s log to note.';

create table witness_alarms (
    id uuid not null,
    origin text not null,
    party text not null,
    fault text not null,
    submission text not null,
    at timestamptz not null,
    constraint witness_alarms_pk primary key (id)
);
comment on table witness_alarms is 'Checkpoints that a log signed and that do not extend what it signed before: its own proof that it rewrote its history.';
comment on column witness_alarms.fault is 'inconsistent: the proof does not lead there; fork: another root for a size that was cosigned.';
comment on column witness_alarms.submission is 'The body as it came.';

create trigger witnessed_append_only before update or delete or truncate on witnessed for each statement execute function refuse_change();
create trigger witness_alarms_append_only before update or delete or truncate on witness_alarms for each statement execute function refuse_change();
grant select, insert on witnessed, witness_alarms to onechannel_app;

alter table public_keys drop constraint public_keys_purpose;
alter table public_keys add constraint public_keys_purpose check (purpose in ('gateway', 'message', 'answer', 'log', 'witness'));
