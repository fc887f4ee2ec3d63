-- The vault database: the keys that make sealed columns readable. Its backups are kept short, so that a destroyed key is gone.

do $$ begin
    create role onechannel_app nologin;
exception when duplicate_object or unique_violation then null;
end $$;

create table keys (
    id uuid primary key,
    owner text not null constraint keys_one unique,
    subjects uuid[] not null,
    epoch integer not null,
    wrapped bytea not null,
    created_at timestamptz not null
);
comment on table keys is 'Sealing keys (256 bit), wrapped by AES-256-GCM under the key-encryption key of their epoch.';
comment on column keys.owner is 'The subjects, sorted, and the retention class: `uuid,uuid/class`. One key each.';
comment on column keys.subjects is 'Whose data the key seals: one subject, several for bytes that concern several people, or the request itself. Erasing any of them destroys the row.';
create index keys_by_subject on keys using gin (subjects);

grant usage on schema public to onechannel_app;
grant select, insert, delete on keys to onechannel_app;
