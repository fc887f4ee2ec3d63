-- Workers and placements as two things. A dossier is everything that shares an identifier, directly or through others: the set of
-- messages that is arranged and folded together (domain::arrange). Which worker and which placement a message belongs to follows
-- from that set alone and may change when more is learned.

create table dossiers (
    id uuid primary key,
    kind text not null constraint dossiers_kind check (kind in ('person', 'job-order', 'crisis')),
    merged_into uuid,
    opened_at timestamptz not null
);
comment on table dossiers is 'What shares an identifier. Its row lock is the fence between instances that work on the same people.';
comment on column dossiers.kind is 'person: workers and their placements; job-order, crisis: one subject each.';
comment on column dossiers.merged_into is 'The dossier that this one was found to be part of; its tokens go on pointing here.';
create index dossiers_by_merge on dossiers (merged_into) where merged_into is not null;

alter table subjects drop constraint subjects_kind;
update subjects set kind = 'placement' where kind = 'employer';
alter table subjects
    add constraint subjects_kind check (kind in ('worker', 'placement', 'job-order', 'crisis')),
    drop column employer,
    add column dossier uuid,
    add column worker uuid,
    add column anchor bytea,
    add column permit_until timestamptz,
    add column heard_at timestamptz,
    add column endorsed_at timestamptz,
    add column shielded boolean not null default false,
    add column substituted smallint[] not null default '{}';
comment on table subjects is 'Projection: each worker, the folded state of each placement, job orders, crises. Rebuilt from messages at any time.';
comment on column subjects.merged_into is 'The subject of the same kind that this one turned out to be.';
comment on column subjects.worker is 'Of a placement: whose it is (a subject of kind worker).';
comment on column subjects.anchor is 'Tag of the message that stands for this subject: its registration, or what opened it. Wherever that message belongs, this subject is.';
comment on column subjects.permit_until is 'When the permit in force ends; stay is then PERMIT_EXPIRED.';
comment on column subjects.heard_at is 'When anything about it was last asserted: "silent for 90 days" is asked by it.';
comment on column subjects.endorsed_at is 'When the contract in force was endorsed: quotas count by it.';
comment on column subjects.shielded is 'The mission says she is at risk or in a shelter: nothing about her goes to a partner unless two officers decide.';
comment on column subjects.substituted is 'Numbers of the fields in which the registered contract differs from the endorsed one.';
create index subjects_by_dossier on subjects (dossier);
create index subjects_by_endorsement on subjects (corridor, endorsed_at) where endorsed_at is not null;
create index subjects_shielded on subjects (worker) where shielded;
create index exceptions_open on exceptions (opened_at) where closed_at is null;
create index subjects_by_worker on subjects (worker) where kind = 'placement';

alter table messages
    add column dossier uuid,
    add column links bytea not null default '',
    add column registers boolean not null default false;
comment on column messages.dossier is 'The dossier in which it was stored (dossiers.merged_into leads on); none for a refused message.';
comment on column messages.subject is 'The placement, job order or crisis to which it belongs as far as is known.';
comment on column messages.links is 'Packed identifiers that it names (store::effects): reach and blind token, 17 bytes each.';

insert into dossiers (id, kind, merged_into, opened_at)
    select id, case kind when 'placement' then 'person' else kind end, merged_into, opened_at from subjects;
update subjects set dossier = coalesce(merged_into, id),
    anchor = coalesce(
        (select m.tag from messages m where m.subject = subjects.id order by m.received_at, m.id limit 1), uuid_send(id)),
    shielded = welfare in ('AT_RISK', 'IN_SHELTER');
-- Messages from before know no links of their own: those of one subject stay together by a token of their own.
update messages m set dossier = m.subject, registers = (m.type = 'placement.nominated.v1'),
    links = '\x00'::bytea || uuid_send(coalesce(s.merged_into, s.id))
    from subjects s where s.id = m.subject;

alter table link_keys rename column subject to dossier;
comment on table link_keys is 'How a later message finds its dossier: blind tokens of identifiers (within a corridor), of a sender''s own references (within a party), and tags of messages that were withdrawn or decided on before they came.';
alter index link_keys_by_subject rename to link_keys_by_dossier;
drop index messages_by_subject;
create index messages_by_dossier on messages (dossier) where dossier is not null;
comment on table pairwise_ids is 'The random id by which a party knows a worker or a placement: 25 characters and an ISO 7064 MOD 37,36 check.';
alter table exceptions drop constraint exceptions_subject_fkey;

create table clocks (
    subject uuid not null,
    name text not null,
    case_tag bytea not null,
    message uuid not null,
    authority text not null,
    started_at timestamptz not null,
    due_at timestamptz not null,
    alarm_at timestamptz not null,
    reminded_at timestamptz,
    constraint clocks_pk primary key (subject, name, case_tag)
);
comment on table clocks is 'What is awaited: one row for each clock that runs (domain::deadlines); it goes when the answer comes. Past alarm_at the exception that the catalogue names is open.';
comment on column clocks.case_tag is 'Blind token of its case; empty for a clock of the placement itself.';
comment on column clocks.message is 'The message that started it, asserted in the name of authority.';
create index clocks_due on clocks (due_at) where reminded_at is null;
create index clocks_alarm on clocks (alarm_at);

create table cases (
    tag bytea constraint cases_pk primary key,
    subject uuid not null,
    status text not null,
    opened_at timestamptz not null,
    updated_at timestamptz not null
);
comment on table cases is 'Projection: each case of protection, by the blind token of its number, and the placement (or person not known yet) it is about.';
create index cases_by_subject on cases (subject);
create index cases_by_status on cases (status, updated_at) where status <> 'CLOSED';

create table decisions (
    target uuid not null,
    officer text not null,
    verdict text not null constraint decisions_verdict check (verdict in ('ACCEPTED', 'REJECTED')),
    message uuid not null,
    at timestamptz not null,
    constraint decisions_once primary key (target, officer)
);
comment on table decisions is 'What officers decided about a message: a held one, the withdrawal of a death, word about somebody at risk. message = the decision''s own message, where its reason is sealed.';

grant select, insert, update on dossiers to onechannel_app;
grant select, insert, update, delete on clocks, cases to onechannel_app;
grant select, insert on decisions to onechannel_app;
grant update on search_terms to onechannel_app;
