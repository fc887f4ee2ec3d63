-- The channel database: what was said, by whom, what follows from it, and the ledger that proves it.
-- Nothing here is readable about a person without a key from the vault database.
-- Role onechannel_app is the gateway's; it may append to the ledger but neither change nor delete it.

do $$ begin
    create role onechannel_app nologin;
exception when duplicate_object or unique_violation then null;
end $$;

create table certificates (
    thumbprint bytea primary key,
    party text not null,
    chain bytea not null,
    first_seen_at timestamptz not null
);
comment on table certificates is 'Peer certificate chains as presented, kept as evidence. thumbprint = SHA-256 of the leaf (RFC 8705 §3.1); chain = DER certificates, each after a 4-byte length.';

create table policies (
    digest bytea primary key,
    document text not null
);
comment on table policies is 'What decided: digests of the schemas, mappings, rule packs and software, as a JSON document addressed by its SHA-256.';

create table client_states (
    client text primary key,
    suspended boolean not null,
    reason text not null,
    changed_at timestamptz not null
);
comment on table client_states is 'Suspension of a client or (client = party code) of a whole party; looked at on every request.';

create table revoked_tokens (
    jti text primary key,
    expires_at timestamptz not null
);

create table spent (
    scope text not null,
    value text not null,
    expires_at timestamptz not null,
    constraint spent_once primary key (scope, value)
);
comment on table spent is 'Nonces (scope = key id) and assertion ids (scope = assertion:client): each value once, across instances. Pruned after expires_at.';

create table subjects (
    id uuid primary key,
    kind text not null constraint subjects_kind check (kind in ('placement', 'job-order', 'employer')),
    corridor text not null,
    merged_into uuid references subjects (id),
    provisional boolean not null,
    stage text not null,
    stay text not null,
    welfare text not null,
    exceptions text[] not null,
    employer uuid,
    opened_at timestamptz not null,
    updated_at timestamptz not null,
    change bigint not null
);
-- Rows that the journal alone writes, in the transaction that writes what they refer to, carry no foreign key: its check
-- would cost more than the row.
comment on table subjects is 'Projection: the folded state of each placement, job order or household employer. Rebuilt from messages at any time.';
comment on column subjects.merged_into is 'The subject that this provisional one turned out to be; its messages fold there.';
comment on column subjects.change is 'Grows with every change of state (per database), the cursor of /api/v1/changes.';
create index subjects_by_stage on subjects (corridor, stage, updated_at desc, id) where kind = 'placement' and merged_into is null;
create unique index subjects_by_change on subjects (change);
create index subjects_by_merge on subjects (merged_into) where merged_into is not null;
create sequence subject_changes;

create table pairwise_ids (
    party text not null,
    id text not null,
    subject uuid not null,
    constraint pairwise_ids_pk primary key (party, id),
    constraint pairwise_ids_one unique (subject, party)
);
comment on table pairwise_ids is 'The random id by which a party knows a subject: 25 characters and an ISO 7064 MOD 37,36 check.';

create table link_keys (
    token bytea constraint link_keys_pk primary key,
    subject uuid not null
);
comment on table link_keys is 'How a later message finds its subject: blind tokens of identifiers (within a corridor) and of a sender''s own references (within a party); the token covers scope and kind.';
create index link_keys_by_subject on link_keys (subject);

create table search_terms (
    message uuid primary key,
    subject uuid not null,
    terms bigint[] not null
);
comment on table search_terms is 'Blind tokens (64-bit HMAC) of identifiers, name words, phonetic skeletons and trigrams named by a message.';
create index search_terms_by_term on search_terms using gin (terms);
create index search_terms_by_subject on search_terms (subject);

create table requests (
    id uuid primary key,
    client text not null,
    received_at timestamptz not null,
    key_id uuid not null,
    sealed bytea not null
);
alter table requests alter column sealed set storage external;
comment on table requests is 'A batch as received: evidence and body, sealed under a request key of its own.';

create table messages (
    id uuid primary key,
    party text not null,
    client text not null,
    corridor text not null,
    type text not null,
    authority text not null,
    tag bytea not null,
    body_tag bytea not null,
    outcome text not null constraint messages_outcome check (outcome in ('applied', 'held', 'refused')),
    asserted_at timestamptz not null,
    received_at timestamptz not null,
    revision bigint,
    subject uuid,
    effects bytea not null,
    problem text,
    key_id uuid not null,
    sealed bytea not null,
    canonical bytea,
    request uuid,
    log text not null,
    leaf bigint not null,
    constraint messages_once unique (tag)
);
alter table messages alter column sealed set storage external;
alter table messages alter column canonical set storage external;
comment on table messages is 'Every message that was decided, with the facts it asserts.';
comment on column messages.tag is 'Keyed digest of party, source and the sender''s id (16 bytes): a repeat is found by it, and an invalidation names it.';
comment on column messages.body_tag is 'Keyed digest of the exact bytes (32 bytes): same id with other bytes is seen by it.';
comment on column messages.effects is 'Packed facts (store::effects): statuses in clear, field values as keyed digests. Enough to fold without a key.';
comment on column messages.problem is 'Broken rules of a held or refused message: pointers and rules, never values.';
comment on column messages.sealed is 'Evidence and exact bytes: compressed, then AES-256-GCM under key_id.';
comment on column messages.canonical is 'The canonical event where the message came in a party''s wire format; sealed under the same key.';
create index messages_by_subject on messages (subject) where outcome = 'applied';
create index messages_by_outcome on messages (outcome, received_at) where outcome <> 'applied';

create table deliveries (
    party text not null,
    seq bigint not null,
    message uuid not null,
    urgency smallint not null,
    state text not null constraint deliveries_state check (state in ('waiting', 'delivered', 'refused', 'parked')),
    attempts integer not null default 0,
    due_at timestamptz not null,
    lease_token uuid,
    created_at timestamptz not null,
    settled_at timestamptz,
    reason text,
    constraint deliveries_pk primary key (party, seq)
);
comment on table deliveries is 'What a party is to be told, written with its cause. seq has no gaps per party; a party that polls uses it as cursor. A lease is due_at in the future together with lease_token: no state can stay behind a dead process.';
create index deliveries_due on deliveries (party, urgency, due_at) where state = 'waiting';
create index deliveries_by_message on deliveries (message);

create table mailboxes (
    party text primary key,
    next_seq bigint not null
);
create table acknowledgements (
    client text primary key,
    party text not null,
    seq bigint not null
);

create table exceptions (
    subject uuid not null references subjects (id),
    kind text not null,
    opened_at timestamptz not null,
    closed_at timestamptz,
    constraint exceptions_pk primary key (subject, kind)
);
comment on table exceptions is 'Work items derived from the fold, with their age.';

create table poll_marks (
    party text primary key,
    watermark text not null,
    polled_at timestamptz not null
);

create table lookups (
    id uuid primary key,
    officer text not null,
    purpose text not null,
    case_number text,
    fields text[] not null,
    subjects uuid[] not null,
    at timestamptz not null,
    leaf bigint
);
comment on table lookups is 'Every disclosure to the ministry: who, why, which fields, about whom. Committed before the answer; its leaf follows.';
create index lookups_without_leaf on lookups (at) where leaf is null;

create table rejected_handshakes (
    hour timestamptz not null,
    cause text not null,
    peer text not null,
    count bigint not null,
    constraint rejected_handshakes_pk primary key (hour, cause, peer)
);
comment on table rejected_handshakes is 'Failed TLS handshakes and failed authentications, counted per hour, cause and peer address.';

create table holds (
    subject uuid primary key references subjects (id),
    basis text not null,
    placed_by text not null,
    placed_at timestamptz not null
);
create table erasures (
    id uuid primary key,
    subject uuid not null,
    basis text not null,
    first_officer text not null,
    second_officer text not null constraint erasures_two_officers check (second_officer <> first_officer),
    outcome text not null constraint erasures_outcome check (outcome in ('erased', 'restricted')),
    keys_destroyed integer not null,
    at timestamptz not null
);

create table heads (
    log text primary key,
    size bigint not null,
    root bytea not null,
    frontier bytea not null
);
comment on table heads is 'One row a log: size, RFC 6962 root, compact range. The row lock is the fence between instances.';

create table entries (
    log text not null,
    idx bigint not null,
    entry text not null,
    constraint entries_pk primary key (log, idx)
);
alter table entries alter column entry set storage external;
comment on table entries is 'The leaves, in order; the leaf hash is SHA-256(0x00 || entry).';

create table commits (
    log text not null,
    size bigint not null,
    size_before bigint not null,
    frontier_before bytea not null,
    root bytea not null,
    note text not null,
    at timestamptz not null,
    constraint commits_one_root_per_size primary key (log, size)
);
comment on table commits is 'One row a log and committed transaction: the signed checkpoint, and what the receipts of its entries are rebuilt from.';

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'the ledger is append-only: % on % is refused', tg_op, tg_table_name using errcode = 'insufficient_privilege';
end $$;
create trigger entries_append_only before update or delete or truncate on entries for each statement execute function refuse_change();
create trigger commits_append_only before update or delete or truncate on commits for each statement execute function refuse_change();

create function only_grow() returns trigger language plpgsql as $$
begin
    if new.log <> old.log or new.size <= old.size then
        raise exception 'a log head only grows: % to %', old.size, new.size using errcode = 'check_violation';
    end if;
    return new;
end $$;
create trigger heads_only_grow before update on heads for each row execute function only_grow();
create trigger heads_stay before delete or truncate on heads for each statement execute function refuse_change();

grant usage on schema public to onechannel_app;
grant usage on sequence subject_changes to onechannel_app;
grant select, insert on all tables in schema public to onechannel_app;
grant update on client_states, subjects, deliveries, mailboxes, acknowledgements, exceptions, poll_marks, lookups, rejected_handshakes, heads, messages, link_keys to onechannel_app;
grant delete on spent, revoked_tokens, search_terms, link_keys, holds to onechannel_app;
