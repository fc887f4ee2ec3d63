-- A witness may sign a checkpoint by Ed25519 and by ML-DSA-44 (C2SP tlog-cosignature): a line of each type is kept.

alter table cosignatures
    add column signature_type smallint not null default 4 constraint cosignatures_signature_type check (signature_type in (4, 6)),
    drop constraint cosignatures_pk,
    add constraint cosignatures_pk primary key (log, size, witness, signature_type);
alter table cosignatures alter column signature_type drop default;
comment on column cosignatures.signature_type is 'The signature type of C2SP signed-note: 4 Ed25519, 6 ML-DSA-44.';
