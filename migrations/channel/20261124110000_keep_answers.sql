-- What a party answered when it was told, kept as evidence; and where its leaf lies.
alter table deliveries
    add column answer bytea,
    add column key_id uuid,
    add column log text,
    add column leaf bigint;
alter table deliveries alter column answer set storage external;
comment on column deliveries.answer is 'The party''s answer (status, signature and body) or acknowledgement, sealed under the message''s key.';
comment on column deliveries.leaf is 'Index of the delivered entry in log; null until settled.';
create index deliveries_by_settlement on deliveries (party, settled_at) where state = 'parked';
