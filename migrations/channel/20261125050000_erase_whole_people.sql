-- Erasing takes a whole person and nobody else: what is about others under one of her keys is sealed anew before the keys go, what
-- is about her is emptied and stands apart from then on.

alter table subjects add column erased_at timestamptz;
comment on column subjects.erased_at is 'When the person was erased. The row stays for counts and for the ids that parties know: stage, corridor and when it began; it is folded no more.';

alter table messages
    add column erased boolean not null default false,
    add column opening bytea;
comment on column messages.erased is 'Content, facts and links are gone with the keys. What stays is what happened to a message and when, and the keyed digests by which a repeat is known again.';
comment on column messages.opening is 'The opening of its entry, sealed under key_id, where that is no longer the key by which it was committed.';

alter table deliveries
    add column opening bytea,
    drop constraint deliveries_state,
    add constraint deliveries_state check (state in ('waiting', 'delivered', 'refused', 'parked', 'erased'));
comment on column deliveries.opening is 'As messages.opening, of the delivered entry.';
comment on column deliveries.state is 'erased: it was on its way when the person was erased; it is sent no more.';

comment on column search_terms.subject is 'Whom the terms lead to. A message that leads to nobody, held or refused, stands here under its own id: nobody finds it, but erasing the person does.';
comment on table requests is 'Not written: each item of a batch is kept and sealed by itself.';

alter table holds
    drop constraint holds_pkey,
    add column id uuid not null default gen_random_uuid() constraint holds_pk primary key,
    add column lifted_by text,
    add column lifted_because text,
    add column lifted_at timestamptz;
comment on table holds is 'Why a person may not be erased, such as a case that is open. One that was lifted stays on record.';
create index holds_standing on holds (subject) where lifted_at is null;
revoke delete on holds from onechannel_app;
grant update on holds to onechannel_app;

alter table erasures
    add column subjects uuid[] not null default '{}',
    add column messages integer not null default 0,
    add column resealed integer not null default 0,
    add column epoch integer,
    add column keys_gone_at timestamptz;
comment on column erasures.subjects is 'The worker, her placements and what was merged into either.';
comment on column erasures.messages is 'Messages about her.';
comment on column erasures.resealed is 'Messages about others that were under one of her keys and are under one of their own now.';
comment on column erasures.epoch is 'Greatest epoch under which one of the keys was wrapped: while its key-encryption key exists, a backup can bring it back.';
comment on column erasures.keys_gone_at is 'When the vault had none of the keys any more; null while that is still to be done.';
grant update on erasures to onechannel_app;

create table erasure_replays (
    erasure uuid not null,
    keys integer not null,
    records boolean not null,
    at timestamptz not null
);
comment on table erasure_replays is 'Backups that brought an erased person back, and how that was undone before the gateway served.';
comment on column erasure_replays.keys is 'Keys that were there again.';
comment on column erasure_replays.records is 'Whether this database had forgotten the erasure.';

create table acts (
    id uuid constraint acts_pk primary key,
    corridor text not null,
    outcome text not null,
    statement text not null,
    policy bytea not null,
    assurance text not null,
    at timestamptz not null,
    leaf bigint
);
comment on table acts is 'What officers did, as the entry of it says (its id is the entry''s): committed with what follows from it; its leaf follows.';
comment on column acts.corridor is 'Last part of the origin of the log in which it stands.';
comment on column acts.statement is 'The exact text that the entry commits to.';
create index acts_without_leaf on acts (at) where leaf is null;
grant select, insert, update on acts to onechannel_app;
grant select, insert on erasure_replays to onechannel_app;
